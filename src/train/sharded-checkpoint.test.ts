/** @file Checkpoints of a policy that ranks share: each writes what it has, and any number of ranks goes on from them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  config,
  DPO,
  disposeOpened,
  preferences,
  referenceOf,
  settings,
  steps,
  train,
} from '../../test/support/shared-training.ts';
import { smallWeights } from '../../test/support/small-model.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { openPolicy, type Policy } from '../score/policy.ts';
import { openSharedPolicy } from '../score/shared-policy.ts';
import type { SharingKind } from '../shard/shards.ts';
import { noGrad } from '../torch/autograd.ts';
import { groupInProcess } from '../torch/group.testing.ts';
import type { Group } from '../torch/group.ts';
import { memoryStatistics } from '../torch/memory.ts';
import { cat, fill__Scalar, mul__Scalar } from '../torch/ops.ts';
import { scope, type Tensor, toFloat32Array } from '../torch/tensor.ts';
import { restoreCheckpoint, saveCheckpoint, withStoredWeights } from './checkpoint.ts';
import { type OptimiserState, openOptimiser } from './optimiser.ts';
import { trainPolicy } from './train.ts';

const weights = smallWeights(config);
const opened: { dispose(): void }[] = [];
let folder = '';
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => {
  disposeOpened();
  for (const each of opened.splice(0).reverse()) each.dispose();
});

type State = { policy: Policy; optimiser: OptimiserState };

function open(sharing: { kind: SharingKind; group: Group } | null, dtype: 'float32' | 'bfloat16' = 'float32'): State {
  const model = { config, weights };
  const policy =
    sharing === null ? openPolicy(model, { dtype, purpose: 'train' }) : openSharedPolicy(model, { dtype, sharing });
  const optimiser = openOptimiser(policy);
  opened.push(policy, optimiser);
  return { policy, optimiser };
}

const openAll = (size: number, kind: SharingKind, dtype?: 'float32' | 'bfloat16'): State[] =>
  groupInProcess(size).map((group) => open({ kind, group }, dtype));

/** Makes a state that no training would have made: weights negated, moments 0.5 and 0.25. */
function change({ policy, optimiser }: State): void {
  noGrad(() => {
    for (const master of policy.masters.values()) mul__Scalar(master, -1).dispose();
    for (const moment of optimiser.firstMoments.values()) fill__Scalar(moment, 0.5).dispose();
    for (const moment of optimiser.secondMoments.values()) fill__Scalar(moment, 0.25).dispose();
  });
}

const restoreAll = (states: readonly State[]) =>
  Promise.all(states.map((state) => restoreCheckpoint(folder, { ...state, plan: 'plan' })));
const saveAll = (states: readonly State[]) =>
  Promise.all(states.map((state) => saveCheckpoint(folder, { ...state, step: 7, plan: 'plan' })));

/** Every weight of the ranks together, by name: of their slices. */
function valuesOf(states: readonly State[], pick: (state: State) => ReadonlyMap<string, Tensor>) {
  const [first] = states;
  if (first?.policy.shards == null)
    return new Map(
      [...(first === undefined ? [] : pick(first))].map(([name, tensor]) => [name, toFloat32Array(tensor)]),
    );
  return new Map(
    first.policy.shards.flats.flatMap(({ layout }) => {
      const slices = states.map((state) => pick(state).get(layout.name) ?? fail(layout.name));
      const whole = scope('all slices', () => toFloat32Array(noGrad(() => cat(slices))));
      return layout.entries.map(({ name, begin, size }) => [name, whole.slice(begin, begin + size)] as const);
    }),
  );
}

const negated = new Map([...weights].map(([name, weight]) => [name, toFloat32Array(weight).map((value) => -value)]));

it.each<[string, () => State[], () => State[]]>([
  [
    'two ranks with all in shards, three with moments in shards',
    () => openAll(2, 'full'),
    () => openAll(3, 'optimiser'),
  ],
  ['three ranks, one process', () => openAll(3, 'full'), () => [open(null)]],
  ['one process, two ranks', () => [open(null)], () => openAll(2, 'full')],
  ['two ranks in bf16, four', () => openAll(2, 'optimiser', 'bfloat16'), () => openAll(4, 'full', 'bfloat16')],
])('what %s go on with', async (_, before, after) => {
  const saved = before();
  for (const state of saved) change(state);
  await saveAll(saved);
  const states = after();
  const restored = await restoreAll(states);
  expect(restored.map(({ step }) => step)).toEqual(states.map(() => 7));
  expect(states.every(({ optimiser }) => optimiser.updates === 7)).toBe(true);
  const masters = valuesOf(states, ({ policy }) => policy.masters);
  for (const [name, values] of negated) expect(masters.get(name), name).toEqual(values);
  const moments = valuesOf(states, ({ optimiser }) => optimiser.secondMoments);
  for (const [name, values] of moments)
    expect(
      values.every((value) => value === 0.25),
      name,
    ).toBe(true);
});

it('weights that every rank has whole are those of the checkpoint, too', async () => {
  const saved = openAll(2, 'full');
  for (const state of saved) change(state);
  await saveAll(saved);
  const states = openAll(2, 'optimiser');
  await restoreAll(states);
  for (const { policy } of states)
    for (const [name, weight] of [...policy.compute, ...policy.vectors])
      expect(toFloat32Array(weight), name).toEqual(negated.get(name));
});

it('has one file a rank and kind, and the weights whole for whoever saves the model', async () => {
  const states = openAll(2, 'full');
  for (const state of states) change(state);
  await saveAll(states);
  expect(readdirSync(join(folder, 'checkpoint-7')).filter((name) => name.startsWith('weights'))).toEqual([
    'weights-1-of-2.safetensors',
    'weights-2-of-2.safetensors',
  ]);
  const before = memoryStatistics().liveTensors;
  const policy = states[0]?.policy ?? fail('policy');
  withStoredWeights(folder, policy, (stored) => {
    for (const [name, { shape, parts }] of stored) {
      expect(shape).toEqual(weights.get(name)?.shape);
      const all = Float32Array.from(parts.flatMap((part) => [...toFloat32Array(part)]));
      expect(all, name).toEqual(negated.get(name));
    }
  });
  expect(memoryStatistics().liveTensors).toBe(before);
});

/** A rank's training from a step on; rank 0 is asked to stop when its first step is made, where `stop` is given. */
async function trainFrom(
  firstStep: number,
  { group, stop, ...state }: State & { group: Group; stop?: AbortController },
): Promise<{ losses: number[]; error: unknown }> {
  const losses: number[] = [];
  const input = {
    ...{ ...state, group, steps: some, firstStep, reference: referenceOf({}), startsAtReference: true },
    checkpoints: { folder, plan: 'plan' },
    signal: group.rank === 0 ? stop?.signal : undefined,
  };
  try {
    for await (const { metrics } of trainPolicy(input, { ...settings, objective: DPO })) {
      losses.push(metrics.loss ?? Number.NaN);
      if (group.rank === 0) stop?.abort();
    }
    return { losses, error: null };
  } catch (error) {
    return { losses, error };
  }
}
const some = steps.slice(0, 4);

it('ranks stop after the same step where rank 0 is asked to; another number of them goes on to the same losses', async () => {
  const [unbroken] = await train(2, { sharding: 'full' }, preferences(DPO), some);
  const stop = new AbortController();
  const stopped = await Promise.all(
    groupInProcess(2).map((group) => trainFrom(0, { ...open({ kind: 'full', group }), group, stop })),
  );
  for (const { losses, error } of stopped) expect([losses.length, error]).toMatchObject([1, { code: 'INTERRUPTED' }]);
  const ranks = groupInProcess(3).map((group) => ({ ...open({ kind: 'optimiser', group }), group }));
  expect((await restoreAll(ranks)).map(({ step }) => step)).toEqual([1, 1, 1]);
  const resumed = await Promise.all(ranks.map((rank) => trainFrom(1, rank)));
  const losses = [...(stopped[0]?.losses ?? []), ...(resumed[0]?.losses ?? [])];
  expect(losses.length).toBe(4);
  for (const [step, { loss = Number.NaN }] of (unbroken?.metrics ?? []).entries())
    expect(Math.abs((losses[step] ?? Number.NaN) - loss)).toBeLessThan(1e-5);
});

function fail(name: string): never {
  throw new Error(`No ${name}`);
}
