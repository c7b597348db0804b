/** @file A policy that trains an adapter: what changes, what does not, and what it costs. Values: test/lora.test.ts. */

import { afterEach, expect, test } from 'vitest';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { randomKey, uniformAt } from '../random.ts';
import { scoreTrees } from '../score/log-probs.ts';
import { microBatches } from '../score/packing.ts';
import { type ComputeDtype, openPolicy, type Policy } from '../score/policy.ts';
import type { Activations } from '../score/stream.ts';
import { buildTree, type PairTree, type TreeLogProbs } from '../score/trees.ts';
import { memoryStatistics } from '../torch/memory.ts';
import { to_dtype } from '../torch/ops.ts';
import { disposeAll, outlive, scope, type Tensor, toBytes, toFloat32Array } from '../torch/tensor.ts';
import { openOptimiser } from './optimiser.ts';
import { withoutPause } from './pausing.ts';
import { stepGradients, trainingStep } from './step.ts';

const config = smallConfig();
const settings = { rank: 4, alpha: 8, rankStabilised: false, targets: 'all-linear' } as const;
const objective = { preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 }, exploration: { kind: 'none' } } as const;
const adamW = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };
const ids = (name: string, length: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => Math.floor(uniformAt(randomKey(3, name), i) * config.vocabularySize));
const trees: PairTree[] = Array.from({ length: 3 }, (_, i) =>
  buildTree({
    pairId: `pair-${i}`,
    promptIds: ids(`p${i}`, 3 + i),
    chosenIds: ids(`c${i}`, 5),
    rejectedIds: ids(`r${i}`, 7),
    responseIds: null,
  }),
);
const batches = microBatches(trees, 64);

const opened: { dispose(): void }[] = [];
function open(dtype: ComputeDtype, weights: ReadonlyMap<string, Tensor>): Policy {
  const policy = openPolicy({ config, weights }, { dtype, purpose: 'train', lora: { settings, seed: 5 } });
  opened.push(policy);
  return policy;
}
function model(): Map<string, Tensor> {
  const weights = smallWeights(config);
  opened.push({ dispose: () => disposeAll(weights) });
  return weights;
}
afterEach(() => {
  for (const each of opened.splice(0).reverse()) each.dispose();
});

function referenceOf(policy: Policy): Map<string, TreeLogProbs> {
  return new Map(batches.flatMap((batch) => [...scoreTrees(policy, batch)]));
}

function step(policy: Policy, reference: ReadonlyMap<string, TreeLogProbs>): number {
  const optimiser = openOptimiser(policy);
  const options = {
    batches,
    reference,
    objective,
    activations: 'keep',
    adamW,
    learningRate: 0.01,
    maxGradientNorm: null,
  } as const;
  const { loss } = withoutPause(trainingStep(policy, optimiser, options));
  optimiser.dispose();
  return loss;
}

function bytes(weights: ReadonlyMap<string, Tensor>): string {
  return [...weights.values()].map((weight) => Buffer.from(toBytes(weight)).toString('base64')).join();
}

test.each(['float32', 'bfloat16'] as const)('steps in %s change the factors and no weight of the base', (dtype) => {
  const weights = model();
  const before = bytes(weights);
  const policy = open(dtype, weights);
  const reference = referenceOf(policy);
  expect([...policy.masters.keys()].every((name) => /\.lora_[AB]\.weight$/.test(name))).toBe(true);
  const start = new Map([...policy.masters].map(([name, master]) => [name, toFloat32Array(master)]));
  // In bf16 both sides round alike, too.
  expect(step(policy, reference)).toBe(Math.log(2));
  step(policy, reference);
  expect(step(policy, reference)).toBeLessThan(Math.log(2));
  expect(bytes(weights)).toBe(before);
  for (const [name, master] of policy.masters) expect(toFloat32Array(master), name).not.toEqual(start.get(name));
});

test('in bf16 products see the factors as the last update left them', () => {
  const policy = open('bfloat16', model());
  step(policy, referenceOf(policy));
  scope('compare', () => {
    for (const [name, { a_RI, b_OR }] of policy.lowRank?.adapter.factors ?? []) {
      const copies = policy.lowRank?.compute.get(name);
      expect(copies && toBytes(copies.a_RI), name).toEqual(toBytes(to_dtype(a_RI, 'bfloat16')));
      expect(copies && toBytes(copies.b_OR), name).toEqual(toBytes(to_dtype(b_OR, 'bfloat16')));
    }
  });
});

test('activations kept or computed again give the same gradients, bit for bit', () => {
  const gradients = (activations: Activations): string => {
    const policy = open('float32', model());
    const reference = referenceOf(policy);
    // B is zero at the start, and A has no gradient then.
    step(policy, reference);
    withoutPause(stepGradients(policy, { batches, reference, objective, activations }));
    return bytes(policy.gradients ?? new Map());
  };
  const kept = gradients('keep');
  expect(gradients('recompute')).toBe(kept);
  expect(new Set(kept.split(',')).size).toBeGreaterThan(20);
});

test('a policy on weights of its type takes memory for its factors and their gradients only', () => {
  const weights = outlive(smallWeights(smallConfig({ hidden_size: 128, intermediate_size: 256, vocab_size: 512 })));
  opened.push({ dispose: () => disposeAll(weights) });
  const wide = smallConfig({ hidden_size: 128, intermediate_size: 256, vocab_size: 512 });
  const before = memoryStatistics().tensorBytes;
  const lora = { settings, seed: 5 };
  const policy = openPolicy({ config: wide, weights }, { dtype: 'float32', purpose: 'train', lora });
  opened.push(policy);
  const numbers = [...policy.masters.values()].reduce((sum, { size }) => sum + size, 0);
  // Each block of memory is rounded up to the allocator's 64 bytes.
  expect(memoryStatistics().tensorBytes - before).toBeLessThan(2 * 4 * numbers + 64 * 4 * policy.masters.size);
  expect(4 * [...weights.values()].reduce((sum, { size }) => sum + size, 0)).toBeGreaterThan(8 * 4 * numbers);
});
