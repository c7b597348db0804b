/**
 * @file Where a model's weights lie, everything is computed: whatever a step or a pass of sampling makes anew, it makes on
 * the device of the weights and says so. Shown by what is asked of the constructors of tensors; no GPU is needed.
 */

import { beforeEach, expect, it, vi } from 'vitest';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { randomKey } from '../random.ts';
import { generate } from '../sample/generate.ts';
import { openSampler } from '../sample/sampler.ts';
import { scoreTrees } from '../score/log-probs.ts';
import { microBatches } from '../score/packing.ts';
import { openPolicy } from '../score/policy.ts';
import { buildTree } from '../score/trees.ts';
import { disposeAll } from '../torch/tensor.ts';
import { openOptimiser } from './optimiser.ts';
import { withoutPause } from './pausing.ts';
import { trainingStep } from './step.ts';

/** Device that each new tensor was asked for; undefined where the caller left it to the default. */
const asked = vi.hoisted((): (string | undefined)[] => []);

vi.mock('../torch/tensor.ts', async (importActual) => {
  const actual = await importActual<typeof import('../torch/tensor.ts')>();
  return {
    ...actual,
    tensorFrom: (...args: Parameters<typeof actual.tensorFrom>) => {
      asked.push(args[3]);
      return actual.tensorFrom(...args);
    },
    float32: (...args: Parameters<typeof actual.float32>) => {
      asked.push(args[1]?.device);
      return actual.float32(...args);
    },
    int64: (...args: Parameters<typeof actual.int64>) => {
      asked.push(args[1]?.device);
      return actual.int64(...args);
    },
  };
});
vi.mock('../torch/ops.ts', async (importActual) => {
  const actual = await importActual<typeof import('../torch/ops.ts')>();
  return {
    ...actual,
    zeros: (...args: Parameters<typeof actual.zeros>) => {
      asked.push(args[1]?.device ?? undefined);
      return actual.zeros(...args);
    },
  };
});

const config = smallConfig();
const weights = smallWeights(config);
const ids = (...values: number[]): Int32Array => Int32Array.from(values);
const tree = buildTree({
  pairId: 'pair',
  promptIds: ids(1, 5, 9, 11),
  chosenIds: ids(7, 8, 2),
  rejectedIds: ids(3, 2),
  responseIds: null,
});

beforeEach(() => {
  asked.length = 0;
});

it.each([
  ['all weights', null],
  ['an adapter', { settings: { rank: 2, alpha: 4, targets: 'all-linear' as const, rankStabilised: false }, seed: 1 }],
])('a training step of %s makes every tensor on the device of the weights', (_, lora) => {
  using policy = openPolicy({ config, weights }, { dtype: 'bfloat16', purpose: 'train', lora });
  const optimiser = openOptimiser(policy);
  const batches = microBatches([tree], 64, Number.POSITIVE_INFINITY);
  const reference = new Map(batches.flatMap((batch) => [...scoreTrees(policy, batch)]));
  withoutPause(
    trainingStep(policy, optimiser, {
      batches,
      reference,
      objective: { preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 }, exploration: { kind: 'none' } },
      activations: 'recompute',
      adamW: { weightDecay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      learningRate: 1e-3,
      maxGradientNorm: 1,
    }),
  );
  optimiser.dispose();
  expect(policy.device).toBe('cpu');
  expect(asked.length).toBeGreaterThan(5);
  expect(new Set(asked)).toEqual(new Set(['cpu']));
});

it('sampling makes every tensor on the device of the weights', async () => {
  const sampler = openSampler({ config, weights });
  const request = { promptId: 'a', promptIds: [1, 5, 9], samples: [{ sampleIndex: 0, key: randomKey(1, 'a') }] };
  const settings = { temperature: 0, topP: 1, topK: 0, maxNewTokens: 3, stopIds: [], batchSize: 1 };
  for await (const response of generate(sampler, [request], settings)) expect(response.tokenIds).toHaveLength(3);
  sampler.dispose();
  disposeAll(weights);
  expect(asked.length).toBeGreaterThan(5);
  expect(new Set(asked)).toEqual(new Set(['cpu']));
});
