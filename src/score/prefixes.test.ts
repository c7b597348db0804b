/** @file What trees share, and that it changes no log-probability. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { withModel } from '../model/load.ts';
import { scoreTrees } from './log-probs.ts';
import { packTrees } from './packing.ts';
import { openPolicy } from './policy.ts';
import { prefixBatches, sharePrefixes } from './prefixes.ts';
import type { TokenTree } from './trees.ts';

const tree = (pairId: string, promptIds: number[], continuations: number[][]): TokenTree => ({
  pairId,
  promptIds: Int32Array.from(promptIds),
  continuations: continuations.map((ids) => Int32Array.from(ids)),
});
const examples = Array.from({ length: 20 }, (_, i) => 10 + i);
const others = examples.map((id) => id + 100);
const subjects = [
  tree('a', [...examples, 50, 51], [[60], [61, 62]]),
  tree('b', [...examples, 52], [[60]]),
  tree('c', [...others, 50], [[60, 63], [64]]),
  tree('d', [...others, 50, 53], [[61]]),
  tree('e', [1, 2], [[60]]),
];

describe('sharePrefixes', () => {
  it('gives trees that follow each other their common beginning, and leaves each a token of its own', () => {
    const shared = sharePrefixes(subjects);
    expect(shared.map(({ prefixIds }) => prefixIds?.length)).toEqual([20, 20, 20, 20, undefined]);
    expect(shared.map(({ promptIds }) => [...promptIds])).toEqual([[50, 51], [52], [50], [50, 53], [1, 2]]);
    expect(shared[0]?.prefixIds).toBe(shared[1]?.prefixIds);
    expect(shared[1]?.prefixIds).not.toBe(shared[2]?.prefixIds);
  });

  it('does not shorten what many share for one that shares less of it', () => {
    const many = [1, 2, 3, 4].map((id) => tree(String(id), [...examples, ...others, id], [[5]]));
    const shared = sharePrefixes([...many, tree('less', [...examples, 7], [[5]])]);
    expect(shared.map(({ prefixIds }) => prefixIds?.length)).toEqual([40, 40, 40, 40, undefined]);
  });

  it('leaves long sequences alone where their positions are turned otherwise', () => {
    expect(sharePrefixes(subjects, 22).map(({ prefixIds }) => prefixIds?.length)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('batches of trees with prefixes', () => {
  it('read a prefix once each', () => {
    const batches = prefixBatches(sharePrefixes(subjects), 30);
    expect(batches.map(({ trees }) => trees.map(({ pairId }) => pairId).join(''))).toEqual(['ab', 'cde']);
    expect(batches.map(({ ids_T }) => ids_T.length)).toEqual([20 + 2 + 1 + 1, 20 + 1 + 1 + 2 + 2]);
    expect(batches[0]?.segments).toEqual([0, 20, -1, 20, 2, 0, 22, 1, 1, 23, 1, 0]);
  });

  it('have the log-probabilities of each tree alone', () => {
    const stories = join(packageRoot, 'assets', 'stories260K');
    using policy = withModel(stories, (model) => openPolicy(model, { dtype: 'float32', purpose: 'score' }));
    const found = prefixBatches(sharePrefixes(subjects), 60).flatMap((batch) => [...scoreTrees(policy, batch)]);
    const alone = subjects.flatMap((each) => [...scoreTrees(policy, packTrees([each]))]);
    expect(found.map(([name]) => name)).toEqual(['a', 'b', 'c', 'd', 'e']);
    found.forEach(([, values], place) => {
      values.forEach((value, i) => {
        expect(value).toBeCloseTo(alone[place]?.[1][i] ?? Number.NaN, 4); // sums of float32 in another order
      });
    });
  });
});
