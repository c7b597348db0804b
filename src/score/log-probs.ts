/**
 * @file The reference's log-probabilities, computed once before training: no reference model is in the step. The batches
 * are those of training, so that at the first step policy and reference agree to the bit and the loss is ln 2.
 */
import { longAfter } from '../model/rope.ts';
import { disposeAll } from '../torch/tensor.ts';
import { scoreRanges } from './head.ts';
import { microBatchTrees, type PackedTrees, packTrees } from './packing.ts';
import type { Policy } from './policy.ts';
import { scoredRows } from './stream.ts';
import type { TokenTree, TreeLogProbs } from './trees.ts';

/** Summed log-probabilities of every continuation of every tree of a batch, by pair. */
export function scoreTrees(policy: Policy, batch: PackedTrees<TokenTree>): Map<string, TreeLogProbs> {
  const rows = scoredRows(policy, batch);
  const logProbs = scoreRanges(policy, batch, rows);
  disposeAll(rows);
  return byPair(batch, logProbs);
}

/** The log-probabilities of a batch's ranges, by pair. */
export function byPair(batch: PackedTrees<TokenTree>, logProbs: readonly number[]): Map<string, TreeLogProbs> {
  const result = new Map<string, number[]>();
  batch.ranges.forEach((range, i) => {
    const { pairId } = treeAt(batch, range.tree);
    const known = result.get(pairId) ?? [];
    known.push(logProbs[i] ?? Number.NaN);
    result.set(pairId, known);
  });
  return result;
}

function treeAt(batch: PackedTrees<TokenTree>, index: number): TokenTree {
  const tree = batch.trees[index];
  if (tree === undefined) throw new Error('A scored range without a tree');
  return tree;
}

/** What of the trees of some steps has to be scored, as the batches of training; those whose pairs are all known are left out. */
export function batchesToScore(
  steps: readonly (readonly TokenTree[])[],
  {
    microBatchTokens,
    known,
    longAfter,
  }: { microBatchTokens: number; known: ReadonlyMap<string, TreeLogProbs>; longAfter: number },
): TokenTree[][] {
  const done = new Set(known.keys());
  return steps.flatMap((trees) =>
    microBatchTrees(trees, microBatchTokens, longAfter).filter((batch) => {
      const isOpen = batch.some(({ pairId }) => !done.has(pairId));
      for (const { pairId } of batch) done.add(pairId);
      return isOpen;
    }),
  );
}

/** Scores batches. Each one's results are given out when they are there, so that a run that stops loses one batch. */
export async function* scoreBatches(
  policy: Policy,
  batches: readonly (readonly TokenTree[])[],
): AsyncGenerator<Map<string, TreeLogProbs>> {
  for (const trees of batches) {
    yield scoreTrees(policy, packTrees(trees, longAfter(policy.config)));
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Scores the trees of every step, batch by batch, skipping batches whose pairs are all `known`. */
export function scoreSteps(
  policy: Policy,
  steps: readonly (readonly TokenTree[])[],
  options: { microBatchTokens: number; known: ReadonlyMap<string, TreeLogProbs> },
): AsyncGenerator<Map<string, TreeLogProbs>> {
  return scoreBatches(policy, batchesToScore(steps, { ...options, longAfter: longAfter(policy.config) }));
}
