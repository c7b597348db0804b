/**
 * @file KTO on unpaired labels against TRL's KTOTrainer, step by step, on the same token ids: mismatched responses, reference
 * points, losses, gradient norms, rewards, and the weights after the last update. Fixtures: scripts/fixtures/kto_losses.py.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../src/files/package-root.ts';
import { loadModel } from '../src/model/load.ts';
import type { LabelLoss } from '../src/objective/labels.ts';
import { scoreBatches } from '../src/score/log-probs.ts';
import { openPolicy } from '../src/score/policy.ts';
import type { TreeLogProbs } from '../src/score/trees.ts';
import { toFloat32Array } from '../src/torch/tensor.ts';
import { mismatch, type ResponseTree, referenceSteps, trainLabels } from '../src/train/labels.ts';
import { openOptimiser } from '../src/train/optimiser.ts';
import { learningRateAt } from '../src/train/schedule.ts';

const folder = join(packageRoot, 'test', 'fixtures', 'kto');

interface Fixture {
  model: string;
  maxLength: number;
  maxGradNorm: number;
  schedule: 'constant' | 'cosine';
  warmupSteps: number;
  learningRate: number;
  objective: LabelLoss;
  optimiser: { beta1: number; beta2: number; epsilon: number; weightDecay: number };
  finalSquares: Record<string, number>;
  rows: { promptIds: number[]; completionIds: number[]; desirable: boolean; mismatchedIds?: number[] }[];
  steps: {
    loss: number;
    learningRate: number;
    gradientNorm: number;
    metrics: Record<string, number>;
    rows: number[];
  }[];
}

function treeOf({ promptIds, completionIds, desirable }: Fixture['rows'][number], index: number): ResponseTree {
  const continuations = [Int32Array.from(completionIds)];
  return { pairId: String(index), promptIds: Int32Array.from(promptIds), continuations, desirable };
}

function relative(actual: number, expected: number): number {
  return Math.abs(actual - expected) / Math.max(Math.abs(expected), 1e-12);
}

describe("steps of KTO on labels equal those of TRL 1.16's KTOTrainer", () => {
  it.each(readdirSync(folder).filter((name) => name.endsWith('.json')))('%s', async (name) => {
    const fixture = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Fixture;
    const { objective, maxLength, rows } = fixture;
    const trees = rows.map(treeOf);
    const steps = fixture.steps.map((step, index) =>
      mismatch(
        step.rows.flatMap((row) => trees[row] ?? []),
        { name: String(index), maxLength },
      ),
    );
    for (const tree of steps.flat()) {
      const expected = rows[Number(tree.pairId)]?.mismatchedIds;
      if (expected !== undefined) expect(Array.from(tree.mismatched?.continuations[0] ?? [])).toEqual(expected);
    }
    const model = loadModel(join(packageRoot, fixture.model));
    const reference = new Map<string, TreeLogProbs>();
    {
      using scorer = openPolicy(model, { dtype: 'float32', purpose: 'score' });
      for await (const scores of scoreBatches(scorer, referenceSteps(steps, objective)))
        for (const [id, logProbs] of scores) reference.set(id, logProbs);
    }
    using policy = openPolicy(model, { dtype: 'float32', purpose: 'train' });
    using optimiser = openOptimiser(policy);
    const { beta1, beta2, epsilon, weightDecay } = fixture.optimiser;
    const schedule = {
      totalSteps: steps.length,
      warmupSteps: fixture.warmupSteps,
      learningRate: fixture.learningRate,
      kind: fixture.schedule,
    };
    const taken = trainLabels(
      { policy, optimiser, steps, firstStep: 0, checkpoints: null, reference, startsAtReference: true },
      {
        objective,
        adamW: { beta1, beta2, epsilon, weightDecay },
        learningRateAt: (step) => learningRateAt(step, schedule),
        maxGradientNorm: fixture.maxGradNorm,
        microBatchTokens: 100_000,
        activations: 'keep',
        checkpointEverySteps: 100,
      },
    );
    for await (const { step, metrics } of taken) {
      const expected = fixture.steps[step];
      if (expected === undefined) throw new Error(`No step ${step}`);
      expect(relative(metrics.lr ?? 0, expected.learningRate), `learning rate of step ${step}`).toBeLessThan(1e-9);
      // fp32 on both sides, sums in another order, amplified over 20 updates.
      expect(
        relative(metrics.loss ?? 0, expected.loss),
        `loss of step ${step}: ${metrics.loss}, TRL has ${expected.loss}`,
      ).toBeLessThan(1e-4);
      expect(
        relative(metrics.grad_norm ?? 0, expected.gradientNorm),
        `gradient norm of step ${step}: ${metrics.grad_norm}, TRL has ${expected.gradientNorm}`,
      ).toBeLessThan(1e-3);
      for (const [key, value] of Object.entries(expected.metrics)) {
        if (key === 'kl' && objective.baseline === 'none') continue;
        // Summed log-probabilities of a hundred nats in fp32.
        expect(Math.abs((metrics[key] ?? Number.NaN) - value), `${key} of step ${step}`).toBeLessThan(
          1e-3 + 1e-4 * Math.abs(value),
        );
      }
    }
    for (const [weight, square] of Object.entries(fixture.finalSquares)) {
      const values = toFloat32Array(policy.masters.get(weight) ?? missing(weight));
      const total = values.reduce((sum, value) => sum + value * value, 0);
      expect(relative(total, square), `sum of squares of ${weight}`).toBeLessThan(1e-5);
    }
    model.dispose();
  });
});

function missing(name: string): never {
  throw new Error(`No weight ${name}`);
}
