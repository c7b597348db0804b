/** @file The reward model in training: its gradient by finite differences, its start, its learning, and the directory it becomes. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { packageRoot } from '../files/package-root.ts';
import { openDecoderClassifier, SCORE } from '../model/classifier/decoder-classifier.ts';
import { writeModelFiles } from '../model/save.ts';
import { weightOf } from '../model/weights.ts';
import { randomKey, uniformAt } from '../random.ts';
import { microBatches } from '../score/packing.ts';
import type { LoraStart, Policy } from '../score/policy.ts';
import type { SharingKind } from '../shard/shards.ts';
import { noGrad } from '../torch/autograd.ts';
import { groupInProcess } from '../torch/group.testing.ts';
import { ALONE, type Group } from '../torch/group.ts';
import { memoryStatistics } from '../torch/memory.ts';
import { copy_ } from '../torch/ops.ts';
import { disposeAll, scope, type Tensor, tensorFrom, toBytes, toFloat32Array } from '../torch/tensor.ts';
import { openOptimiser } from './optimiser.ts';
import { withoutPause } from './pausing.ts';
import {
  accumulateRewardGradients,
  buildRewardTree,
  openRewardPolicy,
  type RewardTree,
  rewardStep,
  rewardsOf,
  trainRewardModel,
} from './reward-step.ts';

const config = smallConfig();
const ids = (key: string, length: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => 1 + Math.floor(uniformAt(randomKey(5, key), i) * (config.vocabularySize - 1)));

/** Compared and sampled, compared only, sampled only; a response of one token, and one drawn twice. */
const trees: RewardTree[] = [
  buildRewardTree({
    pairId: 'a',
    promptIds: ids('pa', 9),
    responses: [ids('a0', 7), ids('a1', 1), ids('a0', 7)],
    comparison: { chosen: 0, rejected: 1 },
    samples: [0, 1, 2],
  }),
  buildRewardTree({
    pairId: 'b',
    promptIds: ids('pb', 5),
    responses: [ids('b0', 4), ids('b1', 6)],
    comparison: { chosen: 1, rejected: 0 },
    samples: [],
  }),
  buildRewardTree({
    pairId: 'c',
    promptIds: ids('pc', 6),
    responses: [ids('c0', 3), ids('c1', 5), ids('c2', 8)],
    comparison: null,
    samples: [0, 1, 2],
  }),
];
const objective = { alpha: 0.3, beta: 0.5 };
const LORA: LoraStart = {
  settings: { rank: 2, alpha: 4, rankStabilised: false, targets: 'all-linear' },
  seed: 3,
};

let weights: Map<string, Tensor>;
let policy: Policy;
beforeEach(() => {
  weights = smallWeights(config);
  policy = openRewardPolicy({ config, weights }, { dtype: 'float32' });
});
afterEach(() => {
  policy.dispose();
  disposeAll(weights);
});

/** Gives the head numbers, so that rewards differ and gradients reach the body. */
function setHead(): void {
  const values = Float32Array.from({ length: config.hiddenSize }, (_, i) => uniformAt(randomKey(8), i) - 0.5);
  scope('set the head', () =>
    noGrad(() => void copy_(weightOf(policy.masters, SCORE), tensorFrom(values, [1, config.hiddenSize], 'float32'))),
  );
}

const lossOf = (batchTokens = 1000) =>
  withoutPause(accumulateRewardGradients(policy, microBatches(trees, batchTokens), { objective, activations: 'keep' }));

describe('accumulateRewardGradients()', () => {
  it('starts at ln 2 without optimism: every reward is 0', () => {
    const { loss, relativeMaximum, margin } = lossOf();
    expect([loss, relativeMaximum, margin]).toEqual([Math.LN2, 0, 0]);
  });

  it('is the derivative of its loss, in the head and in the body', () => {
    setHead();
    lossOf();
    for (const name of [
      SCORE,
      'model.layers.1.mlp.down_proj.weight',
      'model.layers.0.self_attn.q_proj.weight',
      'model.norm.weight',
      'model.embed_tokens.weight',
    ]) {
      const master = weightOf(policy.masters, name);
      const gradient = toFloat32Array(weightOf(policy.gradients ?? new Map(), name)).slice();
      const before = toFloat32Array(master).slice();
      // Along the gradient itself the derivative is its squared norm: one number tests all elements.
      const norm = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0));
      const moved = (by: number): number => {
        const values = before.map((value, i) => value + (by * (gradient[i] ?? 0)) / norm);
        scope('move', () => noGrad(() => void copy_(master, tensorFrom(values, master.shape, 'float32'))));
        return lossOf().loss;
      };
      const step = 1e-2;
      const slope = (moved(step) - moved(-step)) / (2 * step);
      moved(0);
      // float32 forward passes: 1e-6 of a loss of 1, over steps of 1e-2, and the curvature.
      expect(Math.abs(slope / norm - 1), name).toBeLessThan(0.01);
    }
  });

  it('gives the same loss and gradient in any split of the step', () => {
    setHead();
    const whole = lossOf();
    const gradient = toFloat32Array(weightOf(policy.gradients ?? new Map(), 'model.norm.weight')).slice();
    const split = lossOf(1);
    expect(Math.abs(split.loss - whole.loss)).toBeLessThan(1e-6);
    const again = toFloat32Array(weightOf(policy.gradients ?? new Map(), 'model.norm.weight'));
    gradient.forEach((value, i) => void expect(Math.abs(value - (again[i] ?? Number.NaN))).toBeLessThan(1e-5));
  });

  it('counts a response that was drawn twice as two draws', () => {
    setHead();
    const [a] = trees;
    if (a === undefined) throw new Error('No tree');
    expect(a.continuations).toHaveLength(2);
    const [r0 = 0, r1 = 0] = rewardsOf(policy, a);
    const mean = (2 * r0 + r1) / 3;
    const { beta } = objective;
    const expected = beta * Math.log((2 * Math.exp(r0 / beta) + Math.exp(r1 / beta)) / 3) - mean;
    const found = withoutPause(
      accumulateRewardGradients(policy, microBatches([a], 1000), { objective, activations: 'keep' }),
    );
    expect(Math.abs(found.relativeMaximum - expected)).toBeLessThan(1e-6);
  });
});

describe('rewardStep()', () => {
  const settings = {
    adamW: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
    learningRate: 0.01,
    maxGradientNorm: 1,
  };
  const train = (steps: number, alpha: number): { accuracy: number | null; relativeMaximum: number } => {
    using optimiser = openOptimiser(policy);
    const options = { ...settings, objective: { alpha, beta: 0.5 }, activations: 'keep' as const };
    let last: { accuracy: number | null; relativeMaximum: number } = { accuracy: null, relativeMaximum: 0 };
    for (let i = 0; i < steps; i++)
      last = withoutPause(rewardStep(policy, optimiser, { ...options, batches: microBatches(trees, 1000) }));
    return last;
  };

  it('learns its comparisons', () => {
    expect(train(12, 0).accuracy).toBe(1);
  });

  it('finds more in what was not compared, the more optimistic it is', () => {
    const plain = train(12, 0).relativeMaximum;
    policy.dispose();
    policy = openRewardPolicy({ config, weights }, { dtype: 'float32' });
    expect(train(12, 0.5).relativeMaximum).toBeGreaterThan(1.5 * plain);
  });

  it('keeps no tensor of a step', () => {
    train(1, 0.1);
    const before = memoryStatistics().liveTensors;
    train(2, 0.1);
    expect(memoryStatistics().liveTensors).toBe(before);
  });
});

describe('openRewardPolicy()', () => {
  it('with LoRA trains an adapter and the score head, and no weight of the decoder', () => {
    const lora = { settings: { rank: 2, alpha: 4, targets: 'all-linear' as const, rankStabilised: false }, seed: 1 };
    using own = openRewardPolicy({ config, weights }, { dtype: 'bfloat16', lora });
    using optimiser = openOptimiser(own);
    expect([...own.masters.keys()].filter((name) => !/\.lora_[AB]\.weight$/.test(name))).toEqual([SCORE]);
    const bytes = (): string =>
      [...weights.values()].map((weight) => Buffer.from(toBytes(weight)).toString('hex')).join();
    const before = bytes();
    const first = [...own.masters].map(([name, master]) => [name, toFloat32Array(master).slice()] as const);
    for (let i = 0; i < 3; i++) {
      withoutPause(
        rewardStep(own, optimiser, {
          batches: microBatches(trees, 1000),
          objective,
          activations: 'keep',
          adamW: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
          learningRate: 0.01,
          maxGradientNorm: null,
        }),
      );
    }
    expect(bytes()).toBe(before);
    for (const [name, values] of first) expect(toFloat32Array(weightOf(own.masters, name)), name).not.toEqual(values);
  });
});

type Shared = { ranks: number; sharding: 'none' | SharingKind; lora: LoraStart | null };

describe.each<[string, Shared]>([
  ['2 ranks', { ranks: 2, sharding: 'none', lora: null }],
  ['4 ranks, of which one has no prompt', { ranks: 4, sharding: 'none', lora: null }],
  ['2 ranks that share moments', { ranks: 2, sharding: 'optimiser', lora: null }],
  ['4 ranks that share all', { ranks: 4, sharding: 'full', lora: null }],
  ['2 ranks that share moments of an adapter', { ranks: 2, sharding: 'optimiser', lora: LORA }],
  ['3 ranks that share all below an adapter', { ranks: 3, sharding: 'full', lora: LORA }],
])('%s', (_, { ranks, sharding, lora }) => {
  it('have the losses of one process', async () => {
    const settings = {
      objective,
      microBatchTokens: 60,
      activations: 'recompute',
      maxGradientNorm: null,
      checkpointEverySteps: 100,
      adamW: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
      learningRateAt: () => 0.01,
    } as const;
    const metricsOf = (groups: readonly Group[]): Promise<Record<string, number>[][]> =>
      Promise.all(
        groups.map(async (group) => {
          const sharing = sharding === 'none' || group.size === 1 ? null : { kind: sharding, group };
          using own = openRewardPolicy({ config, weights }, { dtype: 'float32', lora, sharing });
          using optimiser = openOptimiser(own);
          const steps = [trees, trees.slice(0, 2), trees];
          const metrics: Record<string, number>[] = [];
          const input = { policy: own, optimiser, steps, firstStep: 0, checkpoints: null, group };
          for await (const step of trainRewardModel(input, settings)) metrics.push(step.metrics);
          return metrics;
        }),
      );
    const [alone = []] = await metricsOf([ALONE]);
    expect(alone.length).toBe(3);
    for (const metrics of await metricsOf(groupInProcess(ranks))) {
      for (const [step, expected] of alone.entries()) {
        // fp32 sums in another order.
        for (const name of ['loss', 'loss/comparison', 'reward/relative_maximum', 'rewards/margins'])
          expect(Math.abs((metrics[step]?.[name] ?? Number.NaN) - (expected[name] ?? Number.NaN)), name).toBeLessThan(
            1e-5,
          );
        expect(metrics[step]?.tokens).toBe(expected.tokens);
        expect(metrics[step]?.['rewards/accuracies']).toBe(expected['rewards/accuracies']);
      }
    }
  });
});

describe('a trained reward model', () => {
  it('is saved as a sequence classifier that gives the same rewards', () => {
    setHead();
    const folder = mkdtempSync(join(tmpdir(), 'selm-reward-'));
    const raw = { fields: { ...config.raw.fields, pad_token_id: null }, text: config.raw.text };
    writeModelFiles(folder, {
      base: join(packageRoot, 'assets', 'stories260K'),
      raw,
      weights: policy.masters,
      dtype: 'float32',
    });
    const classifier = openDecoderClassifier(folder, { dtype: 'float32' });
    for (const tree of trees) {
      const sequences = tree.continuations.map((own) => [...tree.promptIds, ...own.subarray(0, -1)]);
      const [scores, rewards] = [classifier.scores(sequences), rewardsOf(policy, tree)];
      scores.forEach((score, i) => void expect(Math.abs(score - (rewards[i] ?? Number.NaN))).toBeLessThan(1e-5));
    }
    classifier.dispose();
    rmSync(folder, { recursive: true });
  });
});
