/** @file How often a training step copies to a device and back, counted on a pretended GPU (test/support/pretended-device.ts). */
import { beforeEach, expect, it, vi } from 'vitest';
import type { DeviceUse } from '../../test/support/pretended-device.ts';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { scoreTrees } from '../score/log-probs.ts';
import { microBatches } from '../score/packing.ts';
import { openPolicy } from '../score/policy.ts';
import { buildTree } from '../score/trees.ts';
import { noGrad } from '../torch/autograd.ts';
import { to_device } from '../torch/ops.ts';
import { openOptimiser } from './optimiser.ts';
import { withoutPause } from './pausing.ts';
import { trainingStep } from './step.ts';

const uses: DeviceUse[] = vi.hoisted(() => []);

vi.mock('../torch/native.ts', async (importActual) => {
  const { pretendedModule } = await import('../../test/support/pretended-device.ts');
  return pretendedModule(await importActual<typeof import('../torch/native.ts')>(), (use) => uses.push(use));
});

beforeEach(() => {
  uses.length = 0;
});

const config = smallConfig();
const onDevice = new Map(
  [...smallWeights(config)].map(([name, weight]) => [
    name,
    noGrad(() => to_device(weight, 'cuda', 'float32', { copy: true })),
  ]),
);
const ids = (...values: number[]): Int32Array => Int32Array.from(values);
// Two pairs, of ten tokens each, fit a micro-batch of 20.
const trees = Array.from({ length: 6 }, (_, pair) =>
  buildTree({
    pairId: `pair ${pair}`,
    promptIds: ids(1, 5, 9, 11 + pair),
    chosenIds: ids(7, 8, pair, 2),
    rejectedIds: ids(3, 2, 4),
    responseIds: ids(6, 2),
  }),
);

it.each([
  ['all weights', null],
  ['an adapter', { settings: { rank: 2, alpha: 4, targets: 'all-linear' as const, rankStabilised: false }, seed: 1 }],
])('a step of %s hears the device once a micro-batch, and of the norm of its gradients once', (_, lora) => {
  using policy = openPolicy({ config, weights: onDevice }, { dtype: 'bfloat16', purpose: 'train', lora });
  using optimiser = openOptimiser(policy);
  const batches = microBatches(trees, 20, Number.POSITIVE_INFINITY);
  const reference = new Map(batches.flatMap((batch) => [...scoreTrees(policy, batch)]));
  uses.length = 0;
  withoutPause(
    trainingStep(policy, optimiser, {
      batches,
      reference,
      objective: {
        preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 },
        exploration: { kind: 'selm', alpha: 0.01 },
      },
      activations: 'recompute',
      adamW: { weightDecay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      learningRate: 1e-3,
      maxGradientNorm: 1,
    }),
  );
  const count = (kind: DeviceUse['kind']): number => uses.filter((use) => use.kind === kind).length;
  expect(batches).toHaveLength(3);
  // The log-probabilities of each micro-batch; then the norm.
  expect(count('to the host')).toBe(batches.length + 1);
  // All that is read of the stream, and what the loss says of its tokens; then the number of the update, for matrices and for what is none.
  expect(count('to the device')).toBe(2 * batches.length + (lora === null ? 2 : 1));
});
