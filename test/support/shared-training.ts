/** @file A small training that ranks of this process share: random pairs, all ways to share the policy, what comes out. */
import { createHash } from 'node:crypto';
import type { LoraSettings } from '../../src/model/adapter/lora.ts';
import type { ObjectiveOptions } from '../../src/objective/objective.ts';
import { randomKey, uniformAt } from '../../src/random.ts';
import { scoreTrees } from '../../src/score/log-probs.ts';
import { microBatches } from '../../src/score/packing.ts';
import { type ComputeDtype, openPolicy, type Policy, type StateDtype } from '../../src/score/policy.ts';
import { openSharedPolicy } from '../../src/score/shared-policy.ts';
import { buildTree, type PairTree, type TreeLogProbs } from '../../src/score/trees.ts';
import type { SharingKind } from '../../src/shard/shards.ts';
import { groupInProcess } from '../../src/torch/group.testing.ts';
import { ALONE, type Group } from '../../src/torch/group.ts';
import { disposeAll, toBytes } from '../../src/torch/tensor.ts';
import { openOptimiser } from '../../src/train/optimiser.ts';
import type { Optimisation, StepsInput, TakenStep } from '../../src/train/run-steps.ts';
import { trainPolicy } from '../../src/train/train.ts';
import { smallConfig, smallWeights } from './small-model.ts';

export const config = smallConfig();
const ids = (name: string, length: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => Math.floor(uniformAt(randomKey(3, name), i) * config.vocabularySize));
export const trees: PairTree[] = Array.from({ length: 10 }, (_, i) =>
  buildTree({
    pairId: `pair-${i}`,
    promptIds: ids(`p${i}`, 3 + ((i * 5) % 11)),
    chosenIds: ids(`c${i}`, 5),
    rejectedIds: ids(`r${i}`, 7 + (i % 3)),
    responseIds: i % 2 === 0 ? ids(`y${i}`, 4) : null,
  }),
);
/** Twelve steps; the last of each round has two pairs only, so that one of three ranks has none. */
export const steps = [0, 1, 2].flatMap(() => [
  trees.slice(0, 4),
  trees.slice(4, 7),
  trees.slice(7, 8),
  trees.slice(8, 10),
]);

export const settings: Optimisation = {
  adamW: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
  learningRateAt: () => 1e-3,
  maxGradientNorm: 0.5,
  microBatchTokens: 40,
  activations: 'keep',
  checkpointEverySteps: 100,
};
export const DPO: ObjectiveOptions = {
  preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 },
  exploration: { kind: 'selm', alpha: 0.01 },
};
export const KTO: ObjectiveOptions = {
  preference: { kind: 'kto', beta: 0.1, chosenWeight: 1, rejectedWeight: 1 },
  exploration: { kind: 'none' },
};
export const LORA: LoraSettings = { rank: 2, alpha: 4, targets: 'all-linear', rankStabilised: false };

const opened: { dispose(): void }[] = [];
/** Frees all that was opened here. */
export function disposeOpened(): void {
  for (const each of opened.splice(0).reverse()) each.dispose();
}

export interface Kind {
  dtype?: ComputeDtype;
  states?: StateDtype;
  lora?: LoraSettings;
  sharding?: 'none' | SharingKind;
  /** @default 'cpu' */
  device?: string;
  /** Blocks of the model. @default 2 */
  layers?: number;
}

export function open(kind: Kind, group: Group): Policy {
  const { dtype = 'float32', states = 'float32', lora, sharding = 'none', device, layers = 2 } = kind;
  const own = { ...config, layers };
  const weights = smallWeights(own, 1, device);
  const start = lora === undefined ? null : { settings: lora, seed: 5 };
  const policy =
    sharding === 'none'
      ? openPolicy({ config: own, weights }, { dtype, states, purpose: 'train', lora: start })
      : openSharedPolicy({ config: own, weights }, { dtype, states, lora: start, sharing: { kind: sharding, group } });
  opened.push({ dispose: () => disposeAll(weights) }, policy);
  return policy;
}

/** Metrics of every step and the digest of the weights, of each of some ranks that train together. */
export async function train(
  ranks: number,
  kind: Kind,
  taken: (input: StepsInput<never>) => AsyncGenerator<TakenStep>,
  made: readonly (readonly PairTree[])[] = steps,
): Promise<{ metrics: Record<string, number>[]; weights: string }[]> {
  const groups = ranks === 1 ? [ALONE] : groupInProcess(ranks);
  return Promise.all(groups.map((group) => trainIn(group, kind, taken, made)));
}

/** The same of one rank of a group. */
export async function trainIn(
  group: Group,
  kind: Kind,
  taken: (input: StepsInput<never>) => AsyncGenerator<TakenStep>,
  made: readonly (readonly PairTree[])[] = steps,
): Promise<{ metrics: Record<string, number>[]; weights: string }> {
  const policy = open(kind, group);
  const optimiser = openOptimiser(policy);
  opened.push(optimiser);
  const metrics: Record<string, number>[] = [];
  const input = { policy, optimiser, steps: made as never[][], firstStep: 0, checkpoints: null, group };
  for await (const step of taken(input)) metrics.push(step.metrics);
  const hash = createHash('sha256');
  for (const master of policy.masters.values()) hash.update(toBytes(master));
  return { metrics, weights: hash.digest('hex') };
}

/** What the policy says at its start. */
export function referenceOf({ dtype = 'float32', device = 'cpu', layers = 2 }: Kind): Map<string, TreeLogProbs> {
  const start = open({ dtype, device, layers }, ALONE);
  const batches = microBatches(trees, settings.microBatchTokens);
  return new Map(batches.flatMap((batch) => [...scoreTrees(start, batch)]));
}

export function preferences(objective: ObjectiveOptions) {
  return (input: StepsInput<never>): AsyncGenerator<TakenStep> => {
    const { dtype, device, config: own } = input.policy;
    const reference = referenceOf({ dtype, device, layers: own.layers });
    const startsAtReference = objective.preference.kind === 'dpo';
    return trainPolicy(
      { ...(input as StepsInput<PairTree>), reference, startsAtReference },
      { ...settings, objective },
    );
  };
}

/** Largest relative difference of a metric over the steps. */
export function difference(name: string, one: Record<string, number>[], other: Record<string, number>[]): number {
  const of = (metrics: Record<string, number>[], step: number): number => metrics[step]?.[name] ?? Number.NaN;
  return Math.max(
    ...one.map((_, step) => Math.abs(of(other, step) - of(one, step)) / Math.max(Math.abs(of(one, step)), 1e-3)),
  );
}
