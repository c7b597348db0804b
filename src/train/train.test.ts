/** @file What stops training before it spoils weights, and what it goes on from. */

import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { isOnCpu } from '../../test/support/device.ts';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { OutOfMemoryError } from '../errors.ts';
import { FINAL_NORM, weightOf } from '../model/weights.ts';
import { randomKey, uniformAt } from '../random.ts';
import { scoreSteps, scoreTrees } from '../score/log-probs.ts';
import { microBatches } from '../score/packing.ts';
import { openPolicy, type Policy } from '../score/policy.ts';
import { buildTree, type PairTree, type TreeLogProbs } from '../score/trees.ts';
import { noGrad } from '../torch/autograd.ts';
import { failAllocation, memoryStatistics } from '../torch/memory.ts';
import { fill__Scalar } from '../torch/ops.ts';
import { scope, toBytes, toFloat32Array } from '../torch/tensor.ts';
import { restoreCheckpoint, saveCheckpoint } from './checkpoint.ts';
import { type OptimiserState, openOptimiser } from './optimiser.ts';
import { withoutPause } from './pausing.ts';
import { planSteps } from './plan.ts';
import { accumulateGradients, totalsOf, trainingStep } from './step.ts';
import { type TrainSettings, trainPolicy } from './train.ts';

const config = smallConfig();
const objective = {
  preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 },
  exploration: { kind: 'selm', alpha: 0.01 },
} as const;
const adamW = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 };
const ids = (name: string, length: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => Math.floor(uniformAt(randomKey(3, name), i) * config.vocabularySize));
const trees: PairTree[] = Array.from({ length: 8 }, (_, i) =>
  buildTree({
    pairId: `pair-${i}`,
    promptIds: ids(`p${i}`, 3 + i),
    chosenIds: ids(`c${i}`, 5),
    rejectedIds: ids(`r${i}`, 7),
    responseIds: ids(`y${i}`, 4),
  }),
);
const steps = planSteps(trees.length, { batchSize: 2, dropLastStep: false, keys: [randomKey(1, 'shuffle')] }).map(
  (own) => own.flatMap((index) => trees[index] ?? []),
);

const opened: { policy: Policy; optimiser: OptimiserState }[] = [];
function open(): { policy: Policy; optimiser: OptimiserState } {
  const policy = openPolicy({ config, weights: smallWeights(config) }, { dtype: 'float32', purpose: 'train' });
  const both = { policy, optimiser: openOptimiser(policy) };
  opened.push(both);
  return both;
}
const folders: string[] = [];
function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'selm-train-'));
  folders.push(path);
  return path;
}
afterEach(() => {
  failAllocation(-1);
  for (const { policy, optimiser } of opened.splice(0)) {
    optimiser.dispose();
    policy.dispose();
  }
  for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
});

function bytesOf(policy: Policy): string {
  return [...policy.masters.values()]
    .map((master) => Buffer.from(toFloat32Array(master).buffer).toString('base64'))
    .join();
}

/** Digest of everything that a step may change: masters, the copies that products are computed with, moments, count. */
function stateOf({ policy, optimiser }: { policy: Policy; optimiser: OptimiserState }): string {
  const hash = createHash('sha256').update(String(optimiser.updates));
  for (const tensors of [policy.masters, policy.compute, optimiser.firstMoments, optimiser.secondMoments])
    for (const tensor of tensors.values()) hash.update(toBytes(tensor));
  return hash.digest('hex');
}

function referenceOf(policy: Policy): Map<string, TreeLogProbs> {
  const reference = new Map<string, TreeLogProbs>();
  for (const batch of steps.flatMap((own) => microBatches(own, 64)))
    for (const [id, logProbs] of scoreTrees(policy, batch)) reference.set(id, logProbs);
  return reference;
}

const settings: TrainSettings = {
  objective,
  adamW,
  learningRateAt: () => 1e-3,
  maxGradientNorm: 1,
  microBatchTokens: 64,
  activations: 'keep',
  checkpointEverySteps: 1,
};

describe('a step', () => {
  it.each([
    ['NaN in the last norm', FINAL_NORM, Number.NaN],
    ['infinity in a gate', 'model.layers.0.mlp.gate_proj.weight', Number.POSITIVE_INFINITY],
    ['NaN in a query', 'model.layers.1.self_attn.q_proj.weight', Number.NaN],
  ])('stops before the update at %s, names the pairs, and changes no weight', (_, name, value) => {
    const { policy, optimiser } = open();
    const reference = referenceOf(policy);
    scope('spoil', () => noGrad(() => fill__Scalar(weightOf(policy.masters, name), value)));
    const before = bytesOf(policy);
    const run = () =>
      withoutPause(
        trainingStep(policy, optimiser, {
          ...settings,
          batches: microBatches(steps[0] ?? [], 64),
          reference,
          learningRate: 1e-3,
        }),
      );
    expect(run).toThrow(
      expect.objectContaining({ name: 'TrainingError', exitCode: 1, message: expect.stringContaining('pair-') }),
    );
    expect(bytesOf(policy)).toBe(before);
    expect(optimiser.updates).toBe(0);
  });

  // What fails is the CPU's allocator.
  it.skipIf(!isOnCpu).each(['float32', 'bfloat16'] as const)(
    'in %s of which any allocation fails is an OutOfMemoryError that leaks and changes nothing, and done again gives the same',
    (dtype) => {
      const small = smallConfig({ num_hidden_layers: 1 });
      const openSmall = (): { policy: Policy; optimiser: OptimiserState } => {
        const policy = openPolicy({ config: small, weights: smallWeights(small) }, { dtype, purpose: 'train' });
        const both = { policy, optimiser: openOptimiser(policy) };
        opened.push(both);
        return both;
      };
      const [one, twin] = [openSmall(), openSmall()];
      const batches = microBatches(steps[0] ?? [], 64);
      const reference = referenceOf(one.policy);
      const step = ({ policy, optimiser }: typeof one) =>
        withoutPause(trainingStep(policy, optimiser, { ...settings, batches, reference, learningRate: 1e-3 }));
      // One step before: moments are not zero, caches are warm.
      for (const each of [one, twin, twin]) step(each);
      const liveTensors = memoryStatistics().liveTensors;
      const unchanged = stateOf(one);
      let failures = 0;
      for (let n = 0; ; n += 1) {
        failAllocation(n);
        try {
          step(one);
          break;
        } catch (error) {
          expect(error).toBeInstanceOf(OutOfMemoryError);
          failures += 1;
        } finally {
          failAllocation(-1);
        }
        expect(memoryStatistics().liveTensors).toBe(liveTensors);
        expect(stateOf(one), `after allocation ${n} failed`).toBe(unchanged);
      }
      expect(failures).toBeGreaterThan(50);
      expect(memoryStatistics().liveTensors).toBe(liveTensors);
      expect(stateOf(one)).toBe(stateOf(twin));
    },
  );
});

describe('trainPolicy()', () => {
  it('begins with a loss of ln 2 where the policy is its reference', async () => {
    const { policy, optimiser } = open();
    const training = {
      policy,
      optimiser,
      steps,
      firstStep: 0,
      reference: referenceOf(policy),
      startsAtReference: true,
      checkpoints: { folder: folder(), plan: 'a' },
    };
    const first = await trainPolicy(training, settings).next();
    expect(first.value?.metrics.loss).toBe(Math.LN2);
  });

  it('stops when the reference belongs to other weights', async () => {
    const { policy, optimiser } = open();
    const other = openPolicy({ config, weights: smallWeights(config, 2) }, { dtype: 'float32', purpose: 'score' });
    const training = {
      policy,
      optimiser,
      steps,
      firstStep: 0,
      reference: referenceOf(other),
      startsAtReference: true,
      checkpoints: { folder: folder(), plan: 'a' },
    };
    await expect(trainPolicy(training, settings).next()).rejects.toMatchObject({ code: 'FIRST_LOSS_WRONG' });
    other.dispose();
  });

  it('stopped after any step and resumed ends with the same bytes', async () => {
    const whole = open();
    const reference = referenceOf(whole.policy);
    const run = async (
      one: { policy: Policy; optimiser: OptimiserState },
      where: string,
      stopAfter: number,
    ): Promise<void> => {
      const restored = await restoreCheckpoint(where, { ...one, plan: 'a' });
      const training = {
        ...one,
        steps,
        firstStep: restored.step,
        reference,
        startsAtReference: true,
        checkpoints: { folder: where, plan: 'a' },
      };
      for await (const { step } of trainPolicy(training, settings)) if (step + 1 === stopAfter + 1) break;
    };
    await run(whole, folder(), steps.length);
    const expected = bytesOf(whole.policy);
    for (let k = 1; k < steps.length; k++) {
      const where = folder();
      await run(open(), where, k);
      const resumed = open();
      await run(resumed, where, steps.length);
      expect(bytesOf(resumed.policy), `stopped after step ${k}`).toBe(expected);
    }
  });
});

describe('a wish to stop', () => {
  it('inside a step is heard before the next micro-batch; the step is made again, to the same bytes', async () => {
    const whole = open();
    const reference = referenceOf(whole.policy);
    // A step of two pairs is two micro-batches.
    const apart: TrainSettings = { ...settings, microBatchTokens: 1, checkpointEverySteps: 100 };
    const train = (one: { policy: Policy; optimiser: OptimiserState }, where: string, firstStep: number) => ({
      ...one,
      steps,
      firstStep,
      reference,
      startsAtReference: true,
      checkpoints: { folder: where, plan: 'a' },
    });
    for await (const _ of trainPolicy(train(whole, folder(), 0), apart));

    const where = folder();
    const stopped = open();
    const controller = new AbortController();
    const made: number[] = [];
    const running = (async () => {
      for await (const { step } of trainPolicy({ ...train(stopped, where, 0), signal: controller.signal }, apart)) {
        made.push(step);
        // Heard in the first turn of the event loop inside step 2: after its first micro-batch.
        if (step === 0) setImmediate(() => setImmediate(() => controller.abort()));
      }
    })();
    await expect(running).rejects.toMatchObject({
      name: 'InterruptedError',
      message: expect.stringContaining('inside step 2 of 4'),
    });
    expect(made).toEqual([0]);
    expect(stopped.optimiser.updates).toBe(1);

    const resumed = open();
    const { step } = await restoreCheckpoint(where, { ...resumed, plan: 'a' });
    expect(step).toBe(1);
    for await (const _ of trainPolicy(train(resumed, where, step), apart));
    expect(bytesOf(resumed.policy)).toBe(bytesOf(whole.policy));
  });
});

describe('the share of a step', () => {
  it('that some micro-batches have adds up to the whole gradient, when all are told the totals of the step', () => {
    const { policy } = open();
    const input = { ...settings, reference: referenceOf(policy) };
    const batches = microBatches(trees, 1);
    const totals = withoutPause(totalsOf(policy, { ...input, batches }));
    const of = (own: typeof batches): Float32Array => {
      withoutPause(accumulateGradients(policy, { ...input, batches: own }, totals));
      return toFloat32Array(weightOf(policy.gradients ?? new Map(), FINAL_NORM));
    };
    const [whole, first, second] = [of(batches), of(batches.slice(0, 3)), of(batches.slice(3))];
    // fp32 sums of a few numbers in another order.
    whole.forEach((value, i) => void expect(Math.abs(value - (first[i] ?? 0) - (second[i] ?? 0))).toBeLessThan(1e-6));
    expect(first.some((value) => Math.abs(value) > 1e-4)).toBe(true);
  });
});

describe('a checkpoint', () => {
  it('that is damaged is passed over for the one before, and it is said why', async () => {
    const one = open();
    const where = folder();
    for (const step of [1, 2, 3]) await saveCheckpoint(where, { ...one, step, plan: 'a' });
    expect(readdirSync(where).sort()).toEqual(['checkpoint-2', 'checkpoint-3']);
    truncateSync(join(where, 'checkpoint-3', 'weights.safetensors'), 1000);
    const restored = await restoreCheckpoint(where, { ...one, plan: 'a' });
    expect(restored.step).toBe(2);
    expect(restored.passedOver).toMatchObject([{ path: join(where, 'checkpoint-3') }]);
  });

  it('of another training is not used, and not kept: it would count as newer than those to come', async () => {
    const one = open();
    const where = folder();
    await saveCheckpoint(where, { ...one, step: 1, plan: 'a' });
    expect(await restoreCheckpoint(where, { ...one, plan: 'b' })).toMatchObject({
      step: 0,
      passedOver: [{ reason: 'it belongs to another training' }],
    });
    expect(readdirSync(where)).toEqual([]);
  });
});

describe('scoreSteps()', () => {
  it('skips batches that are known, and gives the same numbers', async () => {
    const { policy } = open();
    const all = new Map<string, TreeLogProbs>();
    for await (const scores of scoreSteps(policy, steps, { microBatchTokens: 64, known: new Map() }))
      for (const [id, value] of scores) all.set(id, value);
    expect(all.size).toBe(trees.length);
    let again = 0;
    for await (const _ of scoreSteps(policy, steps, { microBatchTokens: 64, known: all })) again += 1;
    expect(again).toBe(0);
    expect(referenceOf(policy)).toEqual(all);
  });
});
