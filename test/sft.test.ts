/**
 * @file Supervised fine-tuning against TRL's SFTTrainer, step by step, on the same token ids: losses, accuracies, gradient
 * norms, learning rates, and the weights after the last update. Fixtures: scripts/fixtures/sft_losses.py.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../src/files/package-root.ts';
import { loadModel } from '../src/model/load.ts';
import { microBatches } from '../src/score/packing.ts';
import { openPolicy } from '../src/score/policy.ts';
import type { TokenTree } from '../src/score/trees.ts';
import { toFloat32Array } from '../src/torch/tensor.ts';
import { openOptimiser } from '../src/train/optimiser.ts';
import { withoutPause } from '../src/train/pausing.ts';
import { learningRateAt } from '../src/train/schedule.ts';
import { buildConversationTree, supervisedStep } from '../src/train/supervised.ts';

const folder = join(packageRoot, 'test', 'fixtures', 'sft');

interface Fixture {
  model: string;
  maxGradNorm: number;
  schedule: 'constant' | 'cosine';
  warmupSteps: number;
  learningRate: number;
  optimiser: { beta1: number; beta2: number; epsilon: number; weightDecay: number };
  finalSquares: Record<string, number>;
  rows: { ids: number[]; scored: [number, number][] }[];
  steps: {
    loss: number;
    learningRate: number;
    gradientNorm: number;
    meanTokenAccuracy: number;
    numTokens: number;
    rows: number[];
  }[];
}

function treeOf({ ids, scored }: Fixture['rows'][number], index: number): TokenTree {
  const mask = new Uint8Array(ids.length);
  for (const [begin, end] of scored) mask.fill(1, begin, end);
  const tree = buildConversationTree(String(index), { ids, scored: mask });
  if (tree === null) throw new Error(`Row ${index} has nothing to score`);
  return tree;
}

function relative(actual: number, expected: number): number {
  return Math.abs(actual - expected) / Math.max(Math.abs(expected), 1e-12);
}

describe('steps of supervised fine-tuning equal TRL 1.16', () => {
  it.each(readdirSync(folder).filter((name) => name.endsWith('.json')))('%s', (name) => {
    const fixture = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Fixture;
    const trees = fixture.rows.map(treeOf);
    const model = loadModel(join(packageRoot, fixture.model));
    const policy = openPolicy(model, { dtype: 'float32', purpose: 'train' });
    const optimiser = openOptimiser(policy);
    const { beta1, beta2, epsilon, weightDecay } = fixture.optimiser;
    const schedule = {
      totalSteps: fixture.steps.length,
      warmupSteps: fixture.warmupSteps,
      learningRate: fixture.learningRate,
      kind: fixture.schedule,
    };
    let tokens = 0;
    fixture.steps.forEach((expected, step) => {
      const learningRate = learningRateAt(step, schedule);
      const own = expected.rows.flatMap((row) => trees[row] ?? []);
      const result = withoutPause(
        supervisedStep(policy, optimiser, {
          batches: microBatches(own, 512),
          activations: 'keep',
          adamW: { beta1, beta2, epsilon, weightDecay },
          learningRate,
          maxGradientNorm: fixture.maxGradNorm,
        }),
      );
      expect(relative(learningRate, expected.learningRate), `learning rate of step ${step}`).toBeLessThan(1e-9);
      // fp32 on both sides, sums in another order, amplified over 20 updates.
      expect(
        relative(result.loss, expected.loss),
        `loss of step ${step}: ${result.loss}, TRL has ${expected.loss}`,
      ).toBeLessThan(1e-4);
      expect(
        relative(result.gradientNorm, expected.gradientNorm),
        `gradient norm of step ${step}: ${result.gradientNorm}, TRL has ${expected.gradientNorm}`,
      ).toBeLessThan(1e-3);
      tokens += expected.rows.reduce((sum, row) => sum + (fixture.rows[row]?.ids.length ?? 0), 0);
      expect(tokens).toBe(expected.numTokens);
      // TRL averages over its accumulated batches of two, weighing them alike: near, and equal without accumulation.
      const accuracy = result.hits / result.scoredTokens;
      expect(Math.abs(accuracy - expected.meanTokenAccuracy)).toBeLessThan(name.startsWith('completion') ? 1e-3 : 0.1);
    });
    for (const [weight, square] of Object.entries(fixture.finalSquares)) {
      const values = toFloat32Array(policy.masters.get(weight) ?? missing(weight));
      const total = values.reduce((sum, value) => sum + value * value, 0);
      expect(relative(total, square), `sum of squares of ${weight}`).toBeLessThan(1e-5);
    }
    optimiser.dispose();
    policy.dispose();
    model.dispose();
  });
});

function missing(name: string): never {
  throw new Error(`No weight ${name}`);
}
