/** @file What a recipe means for one iteration: its slice of the rows, its weight of the exploration term, its passes over the pairs. */
import type { Columns } from '../data/known-forms.ts';
import { type Slice, sliceRows } from '../data/slices.ts';
import { DataError, RecipeError } from '../errors.ts';
import type { Recipe } from './schema.ts';

/** Which rows each iteration sees; 0 is the warm start. DataError where there are too few. */
export function slicesOf(recipe: Recipe, rows: number): (iteration: number) => Slice {
  const slices = sliceRows(rows, recipe.slices);
  const warmSlices = recipe.warmStart === 'none' ? 0 : 1;
  const needed = recipe.iterations + warmSlices;
  if (slices.length < needed && recipe.slices.reuse === 'never') {
    throw new DataError(
      'SLICES_MISSING',
      `Cannot run ${recipe.iterations} iterations: the ${rows} usable rows give ${slices.length} slices and ${needed} are needed: lower slices.size or slices.share, or set slices.reuse to cycle`,
      { details: { rows, slices: slices.length, needed } },
    );
  }
  return (iteration) => {
    const slice = slices[(iteration - 1 + warmSlices) % slices.length];
    if (slice === undefined)
      throw new DataError('DATA_EMPTY', `Cannot run: ${recipe.data.train.join(', ')} has no usable row`);
    return slice;
  };
}

/** Whether models are measured on prompts that training does not see. */
export function hasHeldOut({ evaluate }: Pick<Recipe, 'evaluate'>): boolean {
  return evaluate.prompts !== null || evaluate.holdOut > 0;
}

/** The last stage of every iteration. */
export function lastStage({
  evaluate,
}: Pick<Recipe, 'evaluate'>): 'mt-bench' | 'alpaca' | 'benchmark' | 'evaluate' | 'train' {
  if (evaluate.mtBench !== null) return 'mt-bench';
  if (evaluate.alpaca !== null) return 'alpaca';
  if (evaluate.benchmarks !== null) return 'benchmark';
  return hasHeldOut({ evaluate }) ? 'evaluate' : 'train';
}

/** Names of the fields of the held-out prompts: their own, or those of the training data that a prompt is made of. */
export function heldOutColumns({ data, evaluate }: Recipe): Columns {
  const { prompt, messages, promptId } = data.columns;
  return evaluate.columns ?? { prompt, messages, promptId };
}

/**
 * Exploration coefficient of an iteration, counted from 1: one number for all, or a list with one a position.
 *
 * @throws RecipeError ITERATION_INVALID, ALPHA_LIST_TOO_SHORT
 */
export function alphaAt(alpha: number | readonly number[], iteration: number): number {
  if (!(Number.isInteger(iteration) && iteration >= 1)) {
    throw new RecipeError(
      'ITERATION_INVALID',
      `Cannot find alpha of iteration ${iteration}: iterations with exploration count from 1`,
      { details: { iteration } },
    );
  }
  if (typeof alpha === 'number') return alpha;
  const value = alpha[iteration - 1];
  if (value === undefined) {
    throw new RecipeError(
      'ALPHA_LIST_TOO_SHORT',
      `Cannot find alpha of iteration ${iteration}: the list has ${alpha.length}: give one alpha for each iteration, or one number for all`,
      { details: { alpha: [...alpha], iteration } },
    );
  }
  return value;
}

/**
 * Passes over the pairs of an iteration, counted from 1, or of the warm start, 0: one number for all, or a list with one an
 * iteration, whose first is the warm start's too and whose last goes on for all that follow.
 */
export function epochsAt(epochs: number | readonly number[], iteration: number): number {
  if (typeof epochs === 'number') return epochs;
  return epochs.slice(0, Math.max(1, iteration)).at(-1) ?? 1;
}
