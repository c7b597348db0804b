/**
 * @file What only scores against what is trained: the same log-probabilities, whether products are made by rows or not, and the same
 * bits however trees are packed.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { randomKey, uniformAt } from '../random.ts';
import { noGrad } from '../torch/autograd.ts';
import { hasTiles, to_dtype } from '../torch/ops.ts';
import { outlive, scope, type Tensor } from '../torch/tensor.ts';
import { scoreTrees } from './log-probs.ts';
import { packTrees } from './packing.ts';
import { openPolicy } from './policy.ts';
import { openScorer } from './scorer.ts';
import type { TokenTree } from './trees.ts';

const config = smallConfig();
const ids = (key: string, length: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => Math.floor(uniformAt(randomKey(3, key), i) * config.vocabularySize));
const tree = (name: string, lengths: readonly number[]): TokenTree => ({
  pairId: name,
  promptIds: ids(name, 9),
  continuations: lengths.map((length, i) => ids(`${name} ${i}`, length)),
});
const trees = [tree('a', [3, 5]), tree('b', [1, 2, 4, 8]), tree('c', [6])];

/** As on disk: matrices in bf16. */
let weights: Map<string, Tensor>;
beforeAll(() => {
  weights = outlive(
    scope('round', () =>
      noGrad(() => new Map([...smallWeights(config)].map(([name, weight]) => [name, to_dtype(weight, 'bfloat16')]))),
    ),
  );
});

describe('a scorer', () => {
  // fp32: sums in another order. bf16: hidden states of a policy are rounded between products, a scorer's are not everywhere.
  it.each([
    ['float32', 2e-5],
    ['bfloat16', 0.2],
  ] as const)('has the log-probabilities of a policy (%s)', (dtype, tolerance) => {
    const policy = openPolicy({ config, weights }, { dtype, purpose: 'score' });
    const scorer = openScorer({ config, weights }, { dtype });
    const [plain, found] = [scoreTrees(policy, packTrees(trees)), scorer.score(packTrees(trees))];
    for (const [name, values] of plain) {
      const differences = values.map((value, i) => Math.abs(value - (found.get(name)?.[i] ?? Number.NaN)));
      expect(Math.max(...differences)).toBeLessThan(tolerance);
    }
    scorer.dispose();
    policy.dispose();
  });

  it.each(['float32', 'bfloat16'] as const)(
    'by rows gives a tree the same bits alone and beside others (%s)',
    (dtype) => {
      const byRows = [...weights.values()].slice(0, 1).every((weight) => hasTiles(weight));
      const scorer = openScorer({ config, weights }, { dtype });
      const together = scorer.score(packTrees(trees));
      for (const each of byRows ? trees : []) {
        expect(scorer.score(packTrees([each])).get(each.pairId)).toEqual(together.get(each.pairId));
      }
      expect([...together.values()].flat().every(Number.isFinite)).toBe(true);
      scorer.dispose();
    },
  );
});
