/** @file What a running loop tells whoever watches: plain data, so that a terminal, a log and a program can all use it. */

/** Stages of an iteration in their order; `data` and `sft` come once, before the first. */
export type StageName =
  | 'data'
  | 'sft'
  | 'sample'
  | 'select'
  | 'label'
  | 'reward-model'
  | 'rank'
  | 'second-opinion'
  | 'pair'
  | 'reference'
  | 'train'
  | 'explore'
  | 'evaluate'
  | 'benchmark'
  | 'alpaca'
  | 'mt-bench';

/** Something that happened in a run, as the place where it happened tells it. */
export type Notice =
  /** Work of a known size began; `done` of it was there already. */
  | { kind: 'stage-started'; stage: StageName; total: number; done: number; unit: string }
  | { kind: 'stage-progress'; stage: StageName; done: number; total: number; detail?: string }
  | { kind: 'stage-finished'; stage: StageName; seconds: number; summary: string }
  /** A stage that an earlier attempt finished. */
  | { kind: 'stage-skipped'; stage: StageName }
  | { kind: 'metrics'; step: number; values: Readonly<Record<string, number>> }
  /** A text to show as it is: the audit, the pairing's counts. */
  | { kind: 'note'; text: string }
  | { kind: 'warning'; text: string };

/** Where a notice comes from. */
export interface EventSource {
  /** Name of the run; a twin has its own. */
  run: string;
  /** Counted from 1; 0 is what comes before the first iteration. */
  iteration: number;
}

/** What a watcher receives: a notice, whose it is, when it was sent (milliseconds since 1970), and its place among all. */
export type LoopEvent = Notice & EventSource & { timeMs: number; sequence: number };

/** Receives events as they happen. What it throws ends the run: a watcher that must not do that catches its own errors. */
export type Watch = (event: LoopEvent) => void;

/** Tells a watcher what happens in one place of a run. */
export type Announce = (notice: Notice) => void;

/** Gives each place of a run its `Announce`. Sequences count from 1 over all of them, without a gap. */
export function openEvents(watch: Watch, clock: () => number = Date.now): (source: EventSource) => Announce {
  let sequence = 0;
  return (source) => (notice) => {
    sequence += 1;
    watch({ ...notice, ...source, timeMs: clock(), sequence });
  };
}
