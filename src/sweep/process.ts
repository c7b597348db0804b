/** @file Starts the process of one run of a sweep. */
import { SweepError } from '../errors.ts';
import { startProcess } from '../loop/process/start.ts';
import type { LoopEvent } from '../store/events.ts';
import type { PlannedRun } from './plan.ts';
import type { StartedRun } from './schedule.ts';

/** Runs a recipe in a process of its own. */
export function startRun(
  { recipe }: PlannedRun,
  watch: (event: LoopEvent) => void,
  { acceptChanges }: { acceptChanges: boolean },
): StartedRun {
  const { ended, stop } = startProcess({ kind: 'recipe', recipe, acceptChanges }, watch);
  return {
    stop,
    ended: ended.then((end) => {
      if (end.kind !== 'lost') return end;
      const { code, message } = new SweepError(
        'SWEEP_PROCESS',
        `The process of the run ended with ${end.how}: run the same command again, which goes on with it${end.said}`,
      );
      return { kind: 'failed', code, message };
    }),
  };
}
