/** @file What the ranks of a benchmark have in common: how they meet, and the step that they take. */

import { ALONE, type Group } from '../src/torch/group.ts';
import { KeyStore } from '../src/torch/key-store.ts';
import { openProcessGroup } from '../src/torch/process-group.ts';

/** The group of a rank that outputsOfRanks (ranks.ts) started. */
export async function meetRanks({ rank, size, port }: { rank: number; size: number; port: number }): Promise<Group> {
  if (size === 1) return ALONE;
  const host = '127.0.0.1';
  const store = await KeyStore.open({ host, port, hosts: rank === 0 }, { timeoutMs: 60_000 });
  return openProcessGroup(store, { rank, size, timeoutMs: 120_000, networkInterface: '', host, ncclLibrary: '' });
}

/** DPO at a learning rate that changes little. */
export const STEP = {
  objective: { preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 }, exploration: { kind: 'none' } },
  adamW: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  learningRateAt: () => 5e-7,
  checkpointEverySteps: 1000,
} as const;

/** Factors on every matrix. */
export const LORA = {
  settings: { rank: 16, alpha: 32, rankStabilised: false, targets: 'all-linear' },
  seed: 1,
} as const;
