/** @file `train()` and `fineTune()`: whole runs for a program, as `selm train` and `selm sft` are for a person. */

import { type RunOutcome, runRecipe } from '../loop/run.ts';
import { runSft, type SftOutcome } from '../loop/sft.ts';
import { loadRecipe, loadSftRecipe, type ParseOptions, parseRecipe, parseSftRecipe } from '../recipe/load.ts';
import type { RecipeInput } from '../recipe/schema.ts';
import type { SftRecipeInput } from '../recipe/sft.ts';
import type { LoopEvent, Watch } from '../store/events.ts';
import { EventStream } from './event-stream.ts';

/** Options of `train` and `fineTune`. */
export interface TrainOptions {
  /** Aborting it stops the run at the next safe point; what is finished is kept, and the same call goes on from there. */
  signal?: AbortSignal | undefined;
  /**
   * Go on although settings or inputs changed with which something was made already: what is finished stays, the rest is
   * done again, and events say what. @default false: such a change is a RunError
   */
  acceptChanges?: boolean | undefined;
  /**
   * Whether the run waits for people who rank; else it ends where it asks them, with an InterruptedError, and the same call
   * goes on when they have answered. @default true
   */
  waits?: boolean | undefined;
  /** Folder that the paths of a recipe given as a value are relative to. @default the current directory */
  directory?: string;
}

/** A run in progress: iterate it for its events, await `result` for what came out. Either may be left out. */
export interface Training<Outcome = RunOutcome> extends AsyncIterable<LoopEvent> {
  /** Where the results are. Rejects with a SelmError; InterruptedError when it was aborted. */
  readonly result: Promise<Outcome>;
}

/**
 * Runs a recipe: a YAML file, or its content as a value. An existing run directory is continued. Events can
 * be iterated once; the loop throws what `result` rejects with, and leaving it early does not stop the run.
 * Throws RecipeError at once for a recipe that cannot be used.
 */
export function train(recipe: string | RecipeInput, options: TrainOptions = {}): Training {
  const resolved = typeof recipe === 'string' ? loadRecipe(recipe) : parseRecipe(recipe, foldersOf(options));
  return started((watch) => runRecipe(resolved, { ...workOptions(options), watch }));
}

/**
 * Runs the recipe of a supervised fine-tuning, as `selm sft` does: a YAML file, or its content as a value. Events, errors
 * and going on are those of `train`.
 */
export function fineTune(recipe: string | SftRecipeInput, options: TrainOptions = {}): Training<SftOutcome> {
  const resolved = typeof recipe === 'string' ? loadSftRecipe(recipe) : parseSftRecipe(recipe, foldersOf(options));
  return started((watch) => runSft(resolved, { ...workOptions(options), watch }));
}

function workOptions({
  signal,
  acceptChanges,
  waits,
}: TrainOptions): Pick<TrainOptions, 'signal' | 'acceptChanges' | 'waits'> {
  return { signal, acceptChanges, waits };
}

function foldersOf({ directory }: TrainOptions): ParseOptions {
  return directory === undefined ? {} : { directory, workingDirectory: directory };
}

function started<Outcome>(run: (watch: Watch) => Promise<Outcome>): Training<Outcome> {
  const events = new EventStream<LoopEvent>();
  const result = run((event) => events.push(event));
  // Whoever only iterates hears of a failure there; it is no unhandled rejection.
  result.then(
    () => events.close(),
    (error: unknown) => events.close({ error }),
  );
  return { result, [Symbol.asyncIterator]: () => events[Symbol.asyncIterator]() };
}
