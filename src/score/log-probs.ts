/**
 * @file The reference's log-probabilities, computed once before training: no reference model is in the step. The batches
 * are those of training, so that at the first step policy and reference agree to the bit and the loss is ln 2.
 */
import { longAfter } from '../model/rope.ts';
import { scoreRanges } from './head.ts';
import { microBatches, type PackedTrees } from './packing.ts';
import type { Policy } from './policy.ts';
import { scoredHidden } from './stream.ts';
import type { PairTree, TokenTree, TreeLogProbs } from './trees.ts';

/** Summed log-probabilities of every continuation of every tree of a batch, by pair. */
export function scoreTrees(policy: Policy, batch: PackedTrees<TokenTree>): Map<string, TreeLogProbs> {
  const hidden_SD = scoredHidden(policy, batch);
  const logProbs = scoreRanges(policy, batch, hidden_SD);
  hidden_SD.dispose();
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

/**
 * Scores the trees of every step, batch by batch, skipping batches whose pairs are all `known`. Each batch's results are
 * given out when they are there, so that a run that stops loses one batch.
 */
export async function* scoreSteps(
  policy: Policy,
  steps: readonly (readonly PairTree[])[],
  options: { microBatchTokens: number; known: ReadonlyMap<string, TreeLogProbs> },
): AsyncGenerator<Map<string, TreeLogProbs>> {
  const done = new Set(options.known.keys());
  for (const trees of steps) {
    for (const batch of microBatches(trees, options.microBatchTokens, longAfter(policy.config))) {
      if (batch.trees.every((tree) => done.has(tree.pairId))) continue;
      const scores = scoreTrees(policy, batch);
      for (const pairId of scores.keys()) done.add(pairId);
      yield scores;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }
}
