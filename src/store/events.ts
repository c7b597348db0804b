/** @file What a running loop tells whoever watches: plain data, so that a terminal, a log and a program can all use it. */

/** Stages of an iteration in their order; `data` and `sft` come once, before the first. */
export type StageName =
  | 'data'
  | 'sft'
  | 'sample'
  | 'label'
  | 'reward-model'
  | 'rank'
  | 'second-opinion'
  | 'pair'
  | 'reference'
  | 'train'
  | 'explore'
  | 'evaluate';

export type LoopEvent =
  /** Work of a known size began; `done` of it was there already. */
  | {
      kind: 'stage-started';
      run: string;
      iteration: number;
      stage: StageName;
      total: number;
      done: number;
      unit: string;
    }
  | { kind: 'stage-progress'; iteration: number; stage: StageName; done: number; total: number; detail?: string }
  | { kind: 'stage-finished'; iteration: number; stage: StageName; seconds: number; summary: string }
  /** A stage that an earlier attempt finished. */
  | { kind: 'stage-skipped'; iteration: number; stage: StageName }
  | { kind: 'metrics'; iteration: number; step: number; values: Readonly<Record<string, number>> }
  /** A text to show as it is: the audit, the pairing's counts. */
  | { kind: 'note'; text: string }
  | { kind: 'warning'; text: string };

/** Receives events as they happen. What it throws ends the run: a watcher that must not do that catches its own errors. */
export type Watch = (event: LoopEvent) => void;
