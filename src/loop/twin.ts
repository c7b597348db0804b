/** @file The alpha = 0 twin of a run: the same recipe without optimism, after the run or beside it, in a folder inside the run's. */
import { join } from 'node:path';
import { InterruptedError, RanksError, RunError } from '../errors.ts';
import type { Team } from '../ranks/team.ts';
import type { Recipe } from '../recipe/schema.ts';
import { threadsOf } from '../recipe/threads.ts';
import { setThreads, threadCount } from '../torch/native.ts';
import { type ResolvedRecipe, runIterations, type Surroundings } from './iterations.ts';
import type { ProcessEnd } from './process/messages.ts';
import { type StartedProcess, startProcess } from './process/start.ts';

/** The recipe without its optimism term, in a folder of its own inside the run. */
export function twinOf(recipe: Recipe): Recipe {
  return {
    ...recipe,
    name: `${recipe.name}-twin`.slice(0, 64),
    output: join(recipe.output, 'twin'),
    objective: { ...recipe.objective, exploration: { kind: 'none' } },
    rewardModel: recipe.rewardModel === null ? null : { ...recipe.rewardModel, alpha: 0 },
    evaluate: { ...recipe.evaluate, twin: false },
  };
}

/** Refuses a twin beside a run on several ranks, before anything is done. Throws RanksError RANKS_TWIN. */
export function refuseTwinBesideRanks({ evaluate: { twin } }: Recipe, { group: { size } }: Team): void {
  if (twin !== 'beside' || size === 1) return;
  throw new RanksError(
    'RANKS_TWIN',
    `Cannot run a twin beside a run on ${size} ranks, which share the work of one run: set evaluate.twin to true, and it runs after it`,
    { details: { ranks: size } },
  );
}

/** Runs the iterations of a recipe, and of its twin as `evaluate.twin` says; returns the folder of the recipe's last model. */
export async function runWithTwin(recipe: ResolvedRecipe, surroundings: Surroundings): Promise<string> {
  const { written } = recipe;
  switch (written.evaluate.twin) {
    case false:
      return runIterations(recipe, surroundings);
    case true: {
      const modelPath = await runIterations(recipe, surroundings);
      const twin = twinOf(written);
      const announce = surroundings.announceFor({ run: written.name, iteration: 0 });
      announce({ kind: 'note', text: `The same again with alpha = 0 (iterative DPO), in ${twin.output}` });
      await runIterations({ ...recipe, written: twin, local: twinOf(recipe.local) }, surroundings);
      return modelPath;
    }
    case 'beside':
      return runBeside(recipe, surroundings);
  }
}

/**
 * Runs the iterations here while a process of its own runs the twin's: two processes of few threads use the cores better than one after the
 * other with all threads, where products are small. A failure here stops the twin; one of the twin is told when the run has finished.
 */
async function runBeside(recipe: ResolvedRecipe, surroundings: Surroundings): Promise<string> {
  const { announceFor, signal } = surroundings;
  const { written } = recipe;
  const twin = twinOf(written);
  announceFor({ run: written.name, iteration: 0 })({
    kind: 'note',
    text: `The same with alpha = 0 (iterative DPO) at the same time, in ${twin.output}`,
  });
  const started = startTwin(twin, recipe, surroundings);
  const stop = (): void => started.stop();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const modelPath = await runIterations(recipe, surroundings);
    const end = await started.ended;
    started.throwIfUnheard();
    throwUnlessFinished(end, twin.output);
    return modelPath;
  } catch (error) {
    started.stop();
    await started.ended;
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** The process of a twin. */
interface StartedTwin extends StartedProcess {
  /** Throws what a watcher threw at one of its events, which ends both. */
  throwIfUnheard(): void;
}

/** Starts the twin; without a setting of threads both get half of them. */
function startTwin(
  twin: Recipe,
  { written, hub }: ResolvedRecipe,
  { announceFor, acceptChanges, waits }: Surroundings,
): StartedTwin {
  const threads = setThreads(threadsOf(written, threadCount()));
  let unheard: { error: unknown } | null = null;
  // The twin's events take their place among those of the run.
  const started = startProcess({ kind: 'twin', recipe: twin, hub, threads, acceptChanges, waits }, (event) => {
    const { run, iteration, timeMs: _, sequence: __, ...notice } = event;
    try {
      announceFor({ run, iteration })(notice);
    } catch (error) {
      unheard ??= { error };
      started.stop();
    }
  });
  const throwIfUnheard = (): void => {
    if (unheard !== null) throw unheard.error;
  };
  return { ...started, throwIfUnheard };
}

/** Throws what ended the twin before its end. */
function throwUnlessFinished(end: ProcessEnd, path: string): void {
  switch (end.kind) {
    case 'finished':
      return;
    case 'stopped':
      throw new InterruptedError('INTERRUPTED', 'The twin was stopped: everything finished is saved');
    case 'failed':
      if (end.code === 'WAITING_FOR_PEOPLE') throw new InterruptedError(end.code, end.message);
      throw new RunError(
        'TWIN_FAILED',
        `The run is finished, and its twin in "${path}" is not: ${end.message} (${end.code}): once the cause is gone, run the same command again`,
        { details: { path, code: end.code } },
      );
    case 'lost':
      throw new RunError(
        'TWIN_FAILED',
        `The run is finished, and its twin in "${path}" is not: its process ended with ${end.how}: run the same command again, which goes on with it${end.said}`,
        { details: { path } },
      );
  }
}
