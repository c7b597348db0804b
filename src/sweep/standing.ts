/** @file How far a run of a sweep is, so that a finished one costs nothing. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Recipe } from '../recipe/schema.ts';
import { differences } from '../store/differences.ts';
import { openLedger } from '../store/ledger.ts';
import { readRunConfig } from '../store/run-config.ts';
import { runState } from '../store/run-state.ts';

export type Standing =
  | { kind: 'new' }
  /** Begun, or finished with other settings: the run itself says whether it can go on. */
  | { kind: 'begun' }
  | { kind: 'finished' };

/** The standing of a recipe's run. Contents of files that it names are not compared here: reading them all takes long. */
export function standingOf(recipe: Recipe): Standing {
  const config = existsSync(join(recipe.output, 'run.db')) ? readRunConfig(recipe.output) : null;
  if (config === null) return { kind: 'new' };
  const changed = differences(config.recipe, recipe).some(
    // What the recipe leaves open, the run has settled by its model.
    ({ field, new: asked }) => !(field === 'text.prompts' && asked === null) && field !== 'output',
  );
  if (changed) return { kind: 'begun' };
  using ledger = openLedger(join(recipe.output, 'run.db'), { access: 'read' });
  return { kind: runState(recipe.output, recipe, ledger).kind === 'finished' ? 'finished' : 'begun' };
}
