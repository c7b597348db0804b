/** @file `train()`: the whole loop for a program, as `selm train` is for a person. */
import type { LoopEvent } from '../loop/events.ts';
import { type RunOutcome, runRecipe } from '../loop/run.ts';
import { loadRecipe, parseRecipe } from '../recipe/load.ts';
import type { RecipeInput } from '../recipe/schema.ts';
import { EventStream } from './event-stream.ts';

/** Options of `train`. */
export interface TrainOptions {
  /** Aborting it stops the run at the next safe point; what is finished is kept, and the same call goes on from there. */
  signal?: AbortSignal | undefined;
  /** Folder that the paths of a recipe given as a value are relative to. @default the current directory */
  directory?: string;
}

/** A run in progress: iterate it for its events, await `result` for what came out. Either may be left out. */
export interface Training extends AsyncIterable<LoopEvent> {
  /** Where the run, its model and its report are. Rejects with a SelmError; InterruptedError when it was aborted. */
  readonly result: Promise<RunOutcome>;
}

/**
 * Runs a recipe: a YAML file, or its content as a value. A run directory that is there already is gone on with. Events can
 * be iterated once; the loop throws what `result` rejects with, and leaving it early does not stop the run.
 * Throws RecipeError at once for a recipe that cannot be used.
 */
export function train(recipe: string | RecipeInput, { signal, directory }: TrainOptions = {}): Training {
  const resolved =
    typeof recipe === 'string'
      ? loadRecipe(recipe)
      : parseRecipe(recipe, directory === undefined ? {} : { directory, workingDirectory: directory });
  const events = new EventStream<LoopEvent>();
  const result = runRecipe(resolved, { signal, watch: (event) => events.push(event) });
  // Whoever only iterates hears of a failure there; it is no unhandled rejection.
  result.then(
    () => events.close(),
    (error: unknown) => events.close({ error }),
  );
  return { result, [Symbol.asyncIterator]: () => events[Symbol.asyncIterator]() };
}
