/**
 * @file Implicit rewards of a run's last model on given pairs: beta (log pi(y | x) - log pi_0(y | x)) of the chosen and the
 * rejected responses, pi_0 being the model that the run started from. Two runs are compared by them in Figure 4 of the paper.
 */
import { join } from 'node:path';
import { modelReading } from '../../data/measure.ts';
import { rowsForModel } from '../../data/model-rows.ts';
import { collectRows, readRows } from '../../data/read.ts';
import type { PreferenceRow } from '../../data/rows.ts';
import { DataError, RunError } from '../../errors.ts';
import { baseDirectory } from '../../model/adapter/adapter.ts';
import type { Recipe } from '../../recipe/schema.ts';
import { loadTokenizer } from '../../text/tokenizer/tokenizer.ts';
import { fetchInputs } from '../inputs.ts';
import { isModelThere } from '../lost-models.ts';
import { type PairLogProbs, scorePairs, treesOf } from './pair-scores.ts';

/** Implicit rewards in the order of the pairs. */
export interface PairRewards {
  beta: number;
  chosen: number[];
  rejected: number[];
}

export interface ImplicitRewardOptions {
  /** File of preference rows, read as the data of the recipe are. */
  file: string;
  /** Pairs that are taken, from the first on. */
  limit: number;
  /** Iteration whose model is scored. */
  iteration: number;
  /** Log-probabilities of base models by folder and file, which runs from one model share. */
  known: Map<string, PairLogProbs>;
  signal?: AbortSignal | undefined;
}

/**
 * Scores the pairs under the model of an iteration of a run and under the one that it started from.
 *
 * @throws RunError MODEL_GONE; DataError PAIRS_MISSING, and those of reading the file
 */
export async function implicitRewards(
  written: Recipe,
  { file, limit, iteration, known, signal }: ImplicitRewardOptions,
): Promise<PairRewards> {
  const model = join(written.output, `iteration-${iteration}`, 'model');
  if (!isModelThere(model)) {
    throw new RunError(
      'MODEL_GONE',
      `Cannot score pairs under iteration ${iteration} of run "${written.output}": its model is not there any more: run its recipe again, or compare without pairs`,
      { details: { path: model } },
    );
  }
  const { recipe } = await fetchInputs(written, { announce: () => {}, signal });
  const base = recipe.model;
  const trees = treesOf(recipe, await readPairs(recipe, { file, limit }));
  const key = JSON.stringify([base, file, limit, recipe.text]);
  const reference = known.get(key) ?? (await scorePairs(recipe, { directory: base, trees, signal }));
  known.set(key, reference);
  const policy = await scorePairs(recipe, { directory: model, trees, signal });
  const { beta } = recipe.objective.preference;
  const rewards = (which: keyof PairLogProbs): number[] =>
    policy[which].map((logProb, index) => beta * (logProb - (reference[which][index] ?? Number.NaN)));
  return { beta, chosen: rewards('chosen'), rejected: rewards('rejected') };
}

async function readPairs(recipe: Recipe, { file, limit }: { file: string; limit: number }): Promise<PreferenceRow[]> {
  const reading = modelReading(loadTokenizer(baseDirectory(recipe.model)), recipe.text);
  const rows = rowsForModel(readRows([file], recipe.data.columns), reading);
  const usable = await collectRows(rows, { limit: null, onBadRow: recipe.data.onBadRow });
  const pairs = usable.filter(({ chosen, rejected }) => chosen !== null && rejected !== null).slice(0, limit);
  if (pairs.length > 0) return pairs;
  throw new DataError(
    'PAIRS_MISSING',
    `Cannot score the pairs of "${file}": it has ${usable.length} rows, and none with both a chosen and a rejected response: give preference rows`,
    { details: { file } },
  );
}
