/**
 * @file The training step against TRL's DPOTrainer, step by step, on the same token ids: losses, gradient norms, learning
 * rates, and the weights after the last update. Fixtures: scripts/fixtures/trl_losses.py.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../src/files/package-root.ts';
import { loadModel } from '../src/model/load.ts';
import type { PreferenceLoss } from '../src/objective/preference.ts';
import { scoreTrees } from '../src/score/log-probs.ts';
import { microBatches } from '../src/score/packing.ts';
import { openPolicy } from '../src/score/policy.ts';
import { buildTree, type PairTree, type TreeLogProbs } from '../src/score/trees.ts';
import { groupInProcess } from '../src/torch/group.testing.ts';
import { ALONE } from '../src/torch/group.ts';
import { toFloat32Array } from '../src/torch/tensor.ts';
import { openOptimiser } from '../src/train/optimiser.ts';
import { untilStopped } from '../src/train/pausing.ts';
import { learningRateAt } from '../src/train/schedule.ts';
import { sharedStep, shareOf } from '../src/train/share.ts';
import { trainingStep } from '../src/train/step.ts';

const folder = join(packageRoot, 'test', 'fixtures', 'trl');

interface Rows {
  rows: { prompt: number[]; chosen: number[]; rejected: number[] }[];
}
interface Fixture {
  model: string;
  rowsFile?: string;
  preference: PreferenceLoss;
  maxGradNorm: number;
  schedule: 'constant' | 'cosine';
  warmupSteps: number;
  learningRate: number;
  optimiser: { beta1: number; beta2: number; epsilon: number; weightDecay: number };
  finalSums: Record<string, number>;
  finalSquares: Record<string, number>;
  steps: { loss: number; learningRate: number; gradientNorm: number; rows: number[] }[];
}

function read<T>(name: string): T {
  return JSON.parse(readFileSync(join(folder, name), 'utf8')) as T;
}

function treesOf(rows: Rows): PairTree[] {
  return rows.rows.map(({ prompt, chosen, rejected }, i) =>
    buildTree({
      pairId: String(i),
      promptIds: Int32Array.from(prompt),
      chosenIds: Int32Array.from(chosen),
      rejectedIds: Int32Array.from(rejected),
      responseIds: null,
    }),
  );
}

function relative(actual: number, expected: number): number {
  return Math.abs(actual - expected) / Math.max(Math.abs(expected), 1e-12);
}

const fixtures = readdirSync(folder).filter((name) => name.endsWith('-steps.json'));

/** Every fixture on one process, and one of them on two ranks; all of them in the long tier. */
const onTwo = process.env.SELM_TESTS === 'long' ? fixtures : ['dpo-20-steps.json'];
const cases = [1, 2].flatMap((ranks) =>
  (ranks === 1 ? fixtures : onTwo).map((name): [string, number] => [name, ranks]),
);

describe('training steps equal TRL 1.16', () => {
  it.each(cases)('%s, ranks: %i', async (name, ranks) => {
    const fixture = read<Fixture>(name);
    const trees = treesOf(read<Rows>(fixture.rowsFile ?? 'rows.json'));
    const model = loadModel(join(packageRoot, fixture.model));
    const members = (ranks === 1 ? [ALONE] : groupInProcess(ranks)).map((group) => {
      const policy = openPolicy(model, { dtype: 'float32', purpose: 'train' });
      return { group, policy, optimiser: openOptimiser(policy) };
    });
    const policy = members[0]?.policy ?? fail('of rank 0');
    const stepTrees = fixture.steps.map((step) => step.rows.flatMap((row) => trees[row] ?? []));
    const reference = new Map<string, TreeLogProbs>();
    for (const batch of stepTrees.flatMap((own) => microBatches(own, 4096))) {
      for (const [pairId, logProbs] of scoreTrees(policy, batch)) reference.set(pairId, logProbs);
    }
    const { beta1, beta2, epsilon, weightDecay } = fixture.optimiser;
    const schedule = {
      totalSteps: fixture.steps.length,
      warmupSteps: fixture.warmupSteps,
      learningRate: fixture.learningRate,
      kind: fixture.schedule,
    };
    for (const [step, expected] of fixture.steps.entries()) {
      const learningRate = learningRateAt(step, schedule);
      const all = stepTrees[step] ?? [];
      const takeStep = async ({ group, policy: own, optimiser }: (typeof members)[number]) => {
        const taken = trainingStep(own, optimiser, {
          batches: microBatches(shareOf(all, group), 4096),
          ...sharedStep(all, { group, name: `step ${step}`, microBatchTokens: 4096, long: Number.POSITIVE_INFINITY }),
          reference,
          objective: { preference: fixture.preference, exploration: { kind: 'none' } },
          activations: 'keep',
          adamW: { beta1, beta2, epsilon, weightDecay },
          learningRate,
          maxGradientNorm: fixture.maxGradNorm,
        });
        return untilStopped(taken, undefined);
      };
      const [ending] = await Promise.all(members.map(takeStep));
      const result = ending?.kind === 'done' ? ending.result : fail('of the step');
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
    }
    for (const [weight, square] of Object.entries(fixture.finalSquares)) {
      const values = toFloat32Array(policy.masters.get(weight) ?? fail(weight));
      const total = values.reduce((sum, value) => sum + value * value, 0);
      expect(relative(total, square), `sum of squares of ${weight}`).toBeLessThan(1e-5);
    }
    for (const each of members) {
      each.optimiser.dispose();
      each.policy.dispose();
    }
    model.dispose();
  });
});

function fail(name: string): never {
  throw new Error(`No weight ${name}`);
}
