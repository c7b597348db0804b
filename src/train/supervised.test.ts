/** @file The gradient of supervised fine-tuning: the same packed, unpacked and in any split, and of the scored tokens only. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { randomKey, uniformAt } from '../random.ts';
import { scoreTrees } from '../score/log-probs.ts';
import { microBatches, packTrees } from '../score/packing.ts';
import { openPolicy, type Policy } from '../score/policy.ts';
import { buildTree, type TokenTree } from '../score/trees.ts';
import { memoryStatistics } from '../torch/memory.ts';
import { toFloat32Array } from '../torch/tensor.ts';
import { openOptimiser } from './optimiser.ts';
import { withoutPause } from './pausing.ts';
import { buildConversationTree, type SupervisedResult, supervisedGradients, supervisedStep } from './supervised.ts';

const config = smallConfig();
const ids = (key: string, length: number): number[] =>
  Array.from({ length }, (_, i) => Math.floor(uniformAt(randomKey(5, key), i) * config.vocabularySize));
const mask = (text: string): Uint8Array => Uint8Array.from(text, (letter) => (letter === 'x' ? 1 : 0));

/** Conversations of one and of several turns: x is scored. */
const MASKS = ['....xxxx', '..xx...xxx', '.x', '..........xxxxxxxxxxx', '...x.x.x.xx..'];
const trees: TokenTree[] = MASKS.flatMap(
  (text, i) => buildConversationTree(`row-${i}`, { ids: ids(`r${i}`, text.length), scored: mask(text) }) ?? [],
);

let policy: Policy;
beforeAll(() => {
  policy = openPolicy({ config, weights: smallWeights(config) }, { dtype: 'float32', purpose: 'train' });
});
afterAll(() => policy.dispose());

function gradientsOf(batches: ReturnType<typeof packTrees<TokenTree>>[]): {
  result: SupervisedResult;
  gradients: Map<string, Float32Array>;
} {
  const result = withoutPause(supervisedGradients(policy, { batches, activations: 'keep' }));
  const gradients = new Map([...(policy.gradients ?? [])].map(([name, each]) => [name, toFloat32Array(each)]));
  return { result, gradients };
}

/** Largest difference relative to the largest entry, over all weights. */
function difference(a: Map<string, Float32Array>, b: Map<string, Float32Array>): number {
  let worst = 0;
  for (const [name, values] of a) {
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-12);
    values.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(value - (b.get(name)?.[i] ?? Number.NaN)) / largest);
    });
  }
  return worst;
}

describe('supervisedGradients()', () => {
  it('gives the same packed into one stream, unpacked, and in any split', () => {
    const packed = gradientsOf([packTrees(trees)]);
    // fp32 sums of about 1e3 products in another order.
    for (const maxTokens of [1, 12, 20]) {
      const split = gradientsOf(microBatches(trees, maxTokens));
      expect(difference(packed.gradients, split.gradients)).toBeLessThan(1e-5);
      expect(split.result.loss).toBeCloseTo(packed.result.loss, 5);
    }
  });

  it('is the mean negative log-likelihood of the scored tokens, each after all that comes before it', () => {
    let total = 0;
    MASKS.forEach((text, row) => {
      const all = ids(`r${row}`, text.length);
      for (const [at, letter] of [...text].entries()) {
        if (letter !== 'x') continue;
        const next = Int32Array.of(all[at] ?? 0);
        const promptIds = Int32Array.from(all.slice(0, at));
        const tree = buildTree({ pairId: 'x', promptIds, chosenIds: next, rejectedIds: next, responseIds: null });
        total -= scoreTrees(policy, packTrees([tree])).get('x')?.[0] ?? Number.NaN;
      }
    });
    const { result } = gradientsOf([packTrees(trees)]);
    const scored = MASKS.join('').replaceAll('.', '').length;
    expect(result.scoredTokens).toBe(scored);
    expect(Math.abs(result.loss - total / scored)).toBeLessThan(1e-5);
  });

  it('does not depend on what a turn that is not scored says after it', () => {
    const tail = buildConversationTree('row-1', { ids: ids('r1', 10), scored: mask('..xx......') });
    const other = buildConversationTree('row-1', {
      ids: [...ids('r1', 4), ...ids('z', 6)],
      scored: mask('..xx......'),
    });
    expect(tail).toEqual(other);
  });
});

describe('supervisedStep()', () => {
  const settings = { adamW: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 }, maxGradientNorm: 1 };

  it('learns what it is shown, and leaves as many live tensors as there were', () => {
    const own = openPolicy({ config, weights: smallWeights(config) }, { dtype: 'float32', purpose: 'train' });
    const optimiser = openOptimiser(own);
    const step = () =>
      withoutPause(
        supervisedStep(own, optimiser, {
          ...settings,
          batches: [packTrees(trees)],
          activations: 'keep',
          learningRate: 0.01,
        }),
      );
    const first = step();
    const before = memoryStatistics().liveTensors;
    for (let i = 0; i < 20; i++) step();
    const last = step();
    expect(memoryStatistics().liveTensors).toBe(before);
    expect(last.loss).toBeLessThan(first.loss / 2);
    expect(last.hits).toBeGreaterThan(first.hits);
    optimiser.dispose();
    own.dispose();
  });

  it('stops before the update at a loss that is not finite, and names the conversations', () => {
    const weights = smallWeights(config);
    const own = openPolicy({ config, weights }, { dtype: 'float32', purpose: 'train' });
    const optimiser = openOptimiser(own);
    const learn = (learningRate: number) =>
      withoutPause(
        supervisedStep(own, optimiser, { ...settings, batches: [packTrees(trees)], activations: 'keep', learningRate }),
      );
    learn(1e30);
    const broken = toFloat32Array([...own.masters.values()][0] ?? fail());
    expect(() => learn(0.01)).toThrow(
      expect.objectContaining({ code: 'GRADIENT_NOT_FINITE', message: expect.stringContaining('conversations row-') }),
    );
    expect(toFloat32Array([...own.masters.values()][0] ?? fail())).toEqual(broken);
    optimiser.dispose();
    own.dispose();
  });
});

function fail(): never {
  throw new Error('There are no weights');
}
