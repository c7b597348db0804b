/** @file Steps that ranks make together: whose pairs are whose, and that the number of ranks changes no result. */
import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import type { LoraSettings } from '../model/adapter/lora.ts';
import type { ObjectiveOptions } from '../objective/objective.ts';
import { randomKey, uniformAt } from '../random.ts';
import { scoreTrees } from '../score/log-probs.ts';
import { microBatches } from '../score/packing.ts';
import { type ComputeDtype, openPolicy, type Policy } from '../score/policy.ts';
import { openSharedPolicy } from '../score/shared-policy.ts';
import { buildTree, type PairTree, type TokenTree, treeTokens } from '../score/trees.ts';
import type { SharingKind } from '../shard/shards.ts';
import { groupInProcess } from '../torch/group.testing.ts';
import { ALONE, type Group } from '../torch/group.ts';
import { memoryStatistics } from '../torch/memory.ts';
import { disposeAll, toBytes } from '../torch/tensor.ts';
import { openOptimiser } from './optimiser.ts';
import type { Optimisation, StepsInput, TakenStep } from './run-steps.ts';
import { shareOf } from './share.ts';
import { trainSupervised } from './supervised.ts';
import { trainPolicy } from './train.ts';

const config = smallConfig();
const ids = (name: string, length: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => Math.floor(uniformAt(randomKey(3, name), i) * config.vocabularySize));
const trees: PairTree[] = Array.from({ length: 10 }, (_, i) =>
  buildTree({
    pairId: `pair-${i}`,
    promptIds: ids(`p${i}`, 3 + ((i * 5) % 11)),
    chosenIds: ids(`c${i}`, 5),
    rejectedIds: ids(`r${i}`, 7 + (i % 3)),
    responseIds: i % 2 === 0 ? ids(`y${i}`, 4) : null,
  }),
);
/** Twelve steps; the last of each round has two pairs only, so that one of three ranks has none. */
const steps = [0, 1, 2].flatMap(() => [trees.slice(0, 4), trees.slice(4, 7), trees.slice(7, 8), trees.slice(8, 10)]);

const settings: Optimisation = {
  adamW: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
  learningRateAt: () => 1e-3,
  maxGradientNorm: 0.5,
  microBatchTokens: 40,
  activations: 'keep',
  checkpointEverySteps: 100,
};
const DPO: ObjectiveOptions = {
  preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 },
  exploration: { kind: 'selm', alpha: 0.01 },
};
const KTO: ObjectiveOptions = {
  preference: { kind: 'kto', beta: 0.1, chosenWeight: 1, rejectedWeight: 1 },
  exploration: { kind: 'none' },
};
const LORA: LoraSettings = { rank: 2, alpha: 4, targets: 'all-linear', rankStabilised: false };

const opened: { dispose(): void }[] = [];
afterEach(() => {
  for (const each of opened.splice(0).reverse()) each.dispose();
});

interface Kind {
  dtype?: ComputeDtype;
  lora?: LoraSettings;
  sharding?: 'none' | SharingKind;
}

function open({ dtype = 'float32', lora, sharding = 'none' }: Kind, group: Group): Policy {
  const weights = smallWeights(config);
  const start = lora === undefined ? null : { settings: lora, seed: 5 };
  const policy =
    sharding === 'none'
      ? openPolicy({ config, weights }, { dtype, purpose: 'train', lora: start })
      : openSharedPolicy({ config, weights }, { dtype, lora: start, sharing: { kind: sharding, group } });
  opened.push({ dispose: () => disposeAll(weights) }, policy);
  return policy;
}

/** Metrics of every step and the digest of the weights, of each of some ranks that train together. */
async function train(
  ranks: number,
  kind: Kind,
  taken: (input: StepsInput<never>) => AsyncGenerator<TakenStep>,
): Promise<{ metrics: Record<string, number>[]; weights: string }[]> {
  const groups = ranks === 1 ? [ALONE] : groupInProcess(ranks);
  return Promise.all(
    groups.map(async (group) => {
      const policy = open(kind, group);
      const optimiser = openOptimiser(policy);
      opened.push(optimiser);
      const metrics: Record<string, number>[] = [];
      const input = { policy, optimiser, steps: steps as never[][], firstStep: 0, checkpoints: null, group };
      for await (const step of taken(input)) metrics.push(step.metrics);
      const hash = createHash('sha256');
      for (const master of policy.masters.values()) hash.update(toBytes(master));
      return { metrics, weights: hash.digest('hex') };
    }),
  );
}

function preferences(objective: ObjectiveOptions) {
  return (input: StepsInput<never>): AsyncGenerator<TakenStep> => {
    const start = open({ dtype: input.policy.dtype }, ALONE);
    const reference = new Map(
      steps.slice(0, 4).flatMap((own) => microBatches(own, 40).flatMap((batch) => [...scoreTrees(start, batch)])),
    );
    const startsAtReference = objective.preference.kind === 'dpo';
    return trainPolicy(
      { ...(input as StepsInput<PairTree>), reference, startsAtReference },
      { ...settings, objective },
    );
  };
}

/** Largest relative difference of a metric over the steps. */
function difference(name: string, one: Record<string, number>[], other: Record<string, number>[]): number {
  const of = (metrics: Record<string, number>[], step: number): number => metrics[step]?.[name] ?? Number.NaN;
  return Math.max(
    ...one.map((_, step) => Math.abs(of(other, step) - of(one, step)) / Math.max(Math.abs(of(one, step)), 1e-3)),
  );
}

describe('the pairs of a step', () => {
  it('are cut by tokens: no rank has more than the others by more than the longest pair', () => {
    const loads = [0, 1, 2].map((rank) =>
      shareOf(trees, { rank, size: 3 }).reduce((sum, tree) => sum + treeTokens(tree), 0),
    );
    const longest = Math.max(...trees.map((tree) => treeTokens(tree)));
    expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(longest);
  });

  it('each go to one rank, the same in whatever order they come, and a rank may get none', () => {
    const of = (list: readonly PairTree[], size: number) =>
      Array.from({ length: size }, (_, rank) => shareOf(list, { rank, size }).map(({ pairId }) => pairId));
    expect(of(trees, 3).flat().sort()).toEqual(trees.map(({ pairId }) => pairId).sort());
    expect(of([...trees].reverse(), 3)).toEqual(of(trees, 3));
    expect(of(trees.slice(0, 2), 3)[2]).toEqual([]);
  });
});

describe.each<[string, Kind]>([
  ['all weights, moments in shards', { sharding: 'optimiser' }],
  ['all weights in shards', { sharding: 'full' }],
  ['an adapter, moments in shards', { lora: LORA, sharding: 'optimiser' }],
  ['an adapter, all in shards', { lora: LORA, sharding: 'full' }],
  ['all weights', {}],
  ['an adapter', { lora: LORA }],
])('training %s', (_, kind) => {
  it.each([2, 3])(
    'on %i ranks has the losses and gradient norms of one, and all ranks the same weights',
    async (ranks) => {
      const [alone] = await train(1, { ...kind, sharding: 'none' }, preferences(DPO));
      const together = await train(ranks, kind, preferences(DPO));
      for (const { metrics, weights } of together) {
        // fp32 sums in another order, over twelve updates.
        expect(difference('loss', alone?.metrics ?? [], metrics)).toBeLessThan(1e-5);
        expect(difference('grad_norm', alone?.metrics ?? [], metrics)).toBeLessThan(1e-4);
        expect(metrics.map(({ pairs, tokens }) => [pairs, tokens])).toEqual(
          alone?.metrics.map(({ pairs, tokens }) => [pairs, tokens]),
        );
        if (kind.sharding === undefined) expect(weights).toBe(together[0]?.weights);
      }
      expect(metricsOf(together[0])).toEqual(metricsOf(together.at(-1)));
    },
  );
});

/** Metrics that are no measurements of time and memory. */
function metricsOf(rank: { metrics: Record<string, number>[] } | undefined): unknown {
  return rank?.metrics.map(({ loss, grad_norm, 'rewards/margins': margin }) => [loss, grad_norm, margin]);
}

it('the same number of ranks gives the same bytes again', async () => {
  const [first, second] = [await train(2, {}, preferences(DPO)), await train(2, {}, preferences(DPO))];
  expect(second[0]?.weights).toBe(first[0]?.weights);
});

it("KTO's baseline is that of the whole step", async () => {
  const [alone] = await train(1, {}, preferences(KTO));
  const together = await train(3, {}, preferences(KTO));
  expect(difference('loss', alone?.metrics ?? [], together[2]?.metrics ?? [])).toBeLessThan(1e-5);
});

it('bf16 differs by its rounding only', async () => {
  const [alone] = await train(1, { dtype: 'bfloat16' }, preferences(DPO));
  const together = await train(2, { dtype: 'bfloat16' }, preferences(DPO));
  // Eight bits of a product, in sums of another order.
  expect(difference('loss', alone?.metrics ?? [], together[1]?.metrics ?? [])).toBeLessThan(1e-2);
});

it('fine-tuning takes its mean over the scored tokens of all ranks', async () => {
  const supervised = (input: StepsInput<never>): AsyncGenerator<TakenStep> =>
    trainSupervised(input as StepsInput<TokenTree>, settings);
  const [alone] = await train(1, {}, supervised);
  const together = await train(3, {}, supervised);
  for (const name of ['loss', 'mean_token_accuracy', 'scored_tokens', 'tokens'])
    expect(difference(name, alone?.metrics ?? [], together[0]?.metrics ?? []), name).toBeLessThan(1e-5);
});

it('a shared step leaves no tensor behind', async () => {
  const before = memoryStatistics().liveTensors;
  await train(2, {}, preferences(DPO));
  for (const each of opened.splice(0).reverse()) each.dispose();
  expect(memoryStatistics().liveTensors).toBe(before);
});
