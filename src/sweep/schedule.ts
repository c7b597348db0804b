/** @file Runs the runs of a sweep, some at a time. One that fails does not stop the others; a stop lets each save. */
import type { LoopEvent } from '../store/events.ts';
import type { PlannedRun } from './plan.ts';

/** How a run ended. */
export type RunEnd =
  | { kind: 'finished' }
  /** It was finished before, and nothing was done. */
  | { kind: 'already-finished' }
  | { kind: 'failed'; code: string; message: string }
  /** The sweep was stopped, in the middle of it or before it began. */
  | { kind: 'stopped' };

/** What a sweep tells whoever watches. `index` counts the runs from 0 in their order. */
export type SweepEvent =
  | { kind: 'run-started'; run: PlannedRun; index: number; isNew: boolean }
  | { kind: 'run-event'; run: PlannedRun; index: number; event: LoopEvent }
  | { kind: 'run-ended'; run: PlannedRun; index: number; end: RunEnd; seconds: number };

/** A run under way. */
export interface StartedRun {
  ended: Promise<RunEnd>;
  /** Asks it to stop at its next safe point; `ended` follows. */
  stop(): void;
}

export interface ScheduleOptions {
  /** Runs under way at once. */
  parallel: number;
  signal: AbortSignal;
  /** Whether a run has begun, or is finished and need not run. */
  standing: (run: PlannedRun) => 'new' | 'begun' | 'finished';
  start: (run: PlannedRun, watch: (event: LoopEvent) => void) => StartedRun;
  watch: (event: SweepEvent) => void;
  /** Milliseconds; only differences count. @default performance.now */
  clock?: () => number;
}

/** Runs all, in their order, and says how each ended. Never rejects for a run that fails. */
export async function runAll(
  runs: readonly PlannedRun[],
  { parallel, signal, standing, start, watch, clock = () => performance.now() }: ScheduleOptions,
): Promise<RunEnd[]> {
  const ends = runs.map((): RunEnd => ({ kind: 'stopped' }));
  let next = 0;

  const runOne = async (run: PlannedRun, index: number): Promise<void> => {
    const before = standing(run);
    const beganMs = clock();
    let end: RunEnd = { kind: 'already-finished' };
    if (before !== 'finished') {
      watch({ kind: 'run-started', run, index, isNew: before === 'new' });
      const started = start(run, (event) => watch({ kind: 'run-event', run, index, event }));
      const stop = (): void => started.stop();
      signal.addEventListener('abort', stop, { once: true });
      try {
        end = await started.ended;
      } finally {
        signal.removeEventListener('abort', stop);
      }
    }
    ends[index] = end;
    watch({ kind: 'run-ended', run, index, end, seconds: (clock() - beganMs) / 1000 });
  };

  const lane = async (): Promise<void> => {
    while (next < runs.length && !signal.aborted) {
      const index = next++;
      const run = runs[index];
      if (run !== undefined) await runOne(run, index);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, parallel) }, lane));
  return ends;
}
