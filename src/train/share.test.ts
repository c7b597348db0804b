/** @file Steps that ranks make together: whose pairs are whose, and that the number of ranks changes no result. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { isOnCpu } from '../../test/support/device.ts';
import {
  config,
  DPO,
  difference,
  disposeOpened,
  type Kind,
  KTO,
  LORA,
  preferences,
  settings,
  steps,
  train,
  trainIn,
  trees,
} from '../../test/support/shared-training.ts';
import { targetShapes } from '../model/adapter/lora.ts';
import { type PairTree, type TokenTree, treeTokens } from '../score/trees.ts';
import { groupInProcess } from '../torch/group.testing.ts';
import type { Group } from '../torch/group.ts';
import { memoryStatistics } from '../torch/memory.ts';
import type { StepsInput, TakenStep } from './run-steps.ts';
import { shareOf } from './share.ts';
import { trainSupervised } from './supervised.ts';

afterEach(disposeOpened);

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

const KINDS: [string, Kind, number[]][] = [
  ['all weights', {}, [2, 3]],
  ['all weights, moments in shards', { sharding: 'optimiser' }, [3]],
  ['all weights in shards', { sharding: 'full' }, [2, 3]],
  ['an adapter', { lora: LORA }, [2, 3]],
  ['an adapter, moments in shards', { lora: LORA, sharding: 'optimiser' }, [3]],
  ['an adapter, all in shards', { lora: LORA, sharding: 'full' }, [3]],
];

describe.each(KINDS)('training %s', (_, kind, counts) => {
  it.each(counts)('on %i ranks has the losses and gradient norms of one, and all ranks agree', async (ranks) => {
    const some = steps.slice(0, 6);
    const [alone] = await train(1, { ...kind, sharding: 'none' }, preferences(DPO), some);
    const together = await train(ranks, kind, preferences(DPO), some);
    for (const { metrics, weights } of together) {
      // fp32 sums in another order, over six updates.
      expect(difference('loss', alone?.metrics ?? [], metrics)).toBeLessThan(1e-5);
      expect(difference('grad_norm', alone?.metrics ?? [], metrics)).toBeLessThan(1e-4);
      expect(metrics.map(({ pairs, tokens }) => [pairs, tokens])).toEqual(
        alone?.metrics.map(({ pairs, tokens }) => [pairs, tokens]),
      );
      if (kind.sharding === undefined) expect(weights).toBe(together[0]?.weights);
    }
    expect(metricsOf(together[0])).toEqual(metricsOf(together.at(-1)));
  });
});

/** Metrics that are no measurements of time and memory. */
function metricsOf(rank: { metrics: Record<string, number>[] } | undefined): unknown {
  return rank?.metrics.map(({ loss, grad_norm, 'rewards/margins': margin }) => [loss, grad_norm, margin]);
}

// On a card LibTorch adds gradients of attention in fp32 in any order (docs/gpu.md).
it.skipIf(!isOnCpu).each(['none', 'optimiser', 'full'] as const)(
  'the same ranks give the same bytes again, sharding %s',
  async (sharding) => {
    const again = () => train(2, { sharding }, preferences(DPO), steps.slice(0, 4));
    const [first, second] = [await again(), await again()];
    expect(second.map(({ weights }) => weights)).toEqual(first.map(({ weights }) => weights));
  },
);

it('ranks call their collectives in one order, also where one of them hears late that it has a block', async () => {
  const [one, other] = groupInProcess(2);
  if (one === undefined || other === undefined) throw new Error('Two ranks');
  const late: Group = {
    ...other,
    gatherSlices: async (...call) => {
      await other.gatherSlices(...call);
      await sleep(5);
    },
  };
  const kind: Kind = { sharding: 'full', layers: 3 };
  const made = [one, late].map((group) => trainIn(group, kind, preferences(DPO), steps.slice(0, 1)));
  const [first, second] = await Promise.all(made);
  expect(metricsOf(second)).toEqual(metricsOf(first));
});

it.each(['none', 'optimiser', 'full'] as const)(
  "of an adapter only the factors' gradients are added up, sharding %s",
  async (sharding) => {
    const summed: number[] = [];
    const watched = groupInProcess(2).map(
      (group): Group => ({
        ...group,
        sum: (name, tensors) => {
          if (name.startsWith('gradients')) summed.push(...tensors.map(({ size }) => size));
          return group.sum(name, tensors);
        },
        reduceSlices: (name, whole, own) => {
          summed.push(whole.size);
          return group.reduceSlices(name, whole, own);
        },
      }),
    );
    const kind: Kind = { sharding, lora: LORA };
    await Promise.all(watched.map((group) => trainIn(group, kind, preferences(DPO), steps.slice(0, 1))));
    const shapes = [...targetShapes(config, LORA.targets).values()];
    const factors = shapes.reduce((sum, [rows, columns]) => sum + LORA.rank * (rows + columns), 0);
    const total = summed.reduce((sum, size) => sum + size, 0) / 2; // of two ranks
    // Slices of one length are filled up with zeros.
    expect(total).toBeGreaterThanOrEqual(factors);
    expect(total).toBeLessThan(1.1 * factors);
  },
);

it.each(['optimiser', 'full'] as const)(
  'what shares itself with nobody computes what one process computes, to the bit in bf16, sharding %s',
  async (sharding) => {
    const some = steps.slice(0, 3);
    const [alone] = await train(1, { dtype: 'bfloat16' }, preferences(DPO), some);
    const [shared] = await train(1, { dtype: 'bfloat16', sharding }, preferences(DPO), some);
    expect(shared?.metrics.map(({ loss }) => loss)).toEqual(alone?.metrics.map(({ loss }) => loss));
  },
);

it.each(['none', 'full'] as const)("KTO's baseline is that of the whole step, sharding %s", async (sharding) => {
  const [alone] = await train(1, {}, preferences(KTO));
  const together = await train(3, { sharding }, preferences(KTO));
  expect(difference('loss', alone?.metrics ?? [], together[2]?.metrics ?? [])).toBeLessThan(1e-5);
});

it.each(['none', 'optimiser', 'full'] as const)('bf16 differs by its rounding only, sharding %s', async (sharding) => {
  const [alone] = await train(1, { dtype: 'bfloat16' }, preferences(DPO), steps.slice(0, 4));
  const together = await train(2, { dtype: 'bfloat16', sharding }, preferences(DPO), steps.slice(0, 4));
  // A master at the middle between two bf16 numbers may be rounded otherwise: test/long/sharding.test.ts has the bound's reason.
  expect(difference('loss', alone?.metrics ?? [], together[1]?.metrics ?? [])).toBeLessThan(1e-2);
});

it.each(['none', 'optimiser', 'full'] as const)(
  'bf16 states differ by their rounding only, sharding %s',
  async (sharding) => {
    const kind = { dtype: 'bfloat16', states: 'bfloat16' } as const;
    const [alone] = await train(1, kind, preferences(DPO), steps.slice(0, 4));
    const together = await train(2, { ...kind, sharding }, preferences(DPO), steps.slice(0, 4));
    expect(difference('loss', alone?.metrics ?? [], together[1]?.metrics ?? [])).toBeLessThan(1e-2);
    if (sharding === 'none') expect(together[1]?.weights).toBe(together[0]?.weights);
  },
);

it('fine-tuning takes its mean over the scored tokens of all ranks', async () => {
  const supervised = (input: StepsInput<never>): AsyncGenerator<TakenStep> =>
    trainSupervised(input as StepsInput<TokenTree>, settings);
  const [alone] = await train(1, {}, supervised);
  const together = await train(3, { sharding: 'full' }, supervised);
  for (const name of ['loss', 'mean_token_accuracy', 'scored_tokens', 'tokens'])
    expect(difference(name, alone?.metrics ?? [], together[0]?.metrics ?? []), name).toBeLessThan(1e-5);
});

it.each(['none', 'optimiser', 'full'] as const)(
  'a shared step leaves no tensor behind, sharding %s',
  async (sharding) => {
    const before = memoryStatistics().liveTensors;
    await train(2, { sharding }, preferences(DPO), steps.slice(0, 2));
    disposeOpened();
    expect(memoryStatistics().liveTensors).toBe(before);
  },
);
