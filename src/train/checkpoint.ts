/**
 * @file What training needs to go on where it stopped: masters and moments, and the number of steps done. A checkpoint is
 * a directory written whole or not at all, and trusted only after its hashes were checked (src/files/atomic.ts).
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SelmError } from '../errors.ts';
import { commitDirectory, removeQuietly, verifyDirectory } from '../files/atomic.ts';
import { readSafetensorsHeader } from '../files/safetensors.ts';
import { writeSafetensors } from '../files/safetensors-write.ts';
import { tensorEntries, weightBytes } from '../model/save.ts';
import { type Policy, refreshCompute } from '../score/policy.ts';
import { noGrad } from '../torch/autograd.ts';
import { mapFile, mappedTensor } from '../torch/mapped-file.ts';
import { copy_ } from '../torch/ops.ts';
import { scope, type Tensor } from '../torch/tensor.ts';
import type { OptimiserState } from './optimiser.ts';

const PREFIX = 'checkpoint-';
/** The last one may be the one that a crash interrupts, so two are kept. */
const KEPT = 2;

function groups(policy: Policy, optimiser: OptimiserState): [string, ReadonlyMap<string, Tensor>][] {
  return [
    ['weights', policy.masters],
    ['first-moments', optimiser.firstMoments],
    ['second-moments', optimiser.secondMoments],
  ];
}

function stepOf(name: string): number | null {
  const digits = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : '';
  return /^\d+$/.test(digits) ? Number(digits) : null;
}

/** Checkpoints of a folder by name, newest first, complete or not. */
function listCheckpoints(folder: string): { path: string; step: number }[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .flatMap((name) => {
      const step = stepOf(name);
      return step === null ? [] : [{ path: join(folder, name), step }];
    })
    .sort((a, b) => b.step - a.step);
}

/** Writes `folder`/checkpoint-`step` after `step` updates, and removes all but the newest two. */
export async function saveCheckpoint(
  folder: string,
  state: { policy: Policy; optimiser: OptimiserState; step: number; plan: string },
): Promise<void> {
  await commitDirectory(
    join(folder, `${PREFIX}${state.step}`),
    (temporary) =>
      new Map(
        [...groups(state.policy, state.optimiser)].map(([group, tensors]) => {
          const name = `${group}.safetensors`;
          return [name, writeSafetensors(join(temporary, name), tensorEntries(tensors, { dtype: 'float32' }))];
        }),
      ),
    { details: { step: state.step, plan: state.plan }, bytesNeeded: 3 * weightBytes(state.policy.masters, 'float32') },
  );
  for (const { path } of listCheckpoints(folder).slice(KEPT)) removeQuietly(path);
}

/** A checkpoint that was found, or passed over and why. */
export interface RestoredState {
  step: number;
  passedOver: { path: string; reason: string }[];
}

/**
 * Loads the newest checkpoint that verifies and belongs to `plan` into the policy and the optimiser. Step 0 when there is
 * none. A damaged checkpoint is passed over, and one of another training removed; both are reported.
 */
export async function restoreCheckpoint(
  folder: string,
  state: { policy: Policy; optimiser: OptimiserState; plan: string },
): Promise<RestoredState> {
  const passedOver: RestoredState['passedOver'] = [];
  for (const { path, step } of listCheckpoints(folder)) {
    try {
      const manifest = await verifyDirectory(path);
      if (manifest.details?.plan !== state.plan) {
        passedOver.push({ path, reason: 'it belongs to another training' });
        removeQuietly(path); // or it would be taken for newer than those that this training makes
        continue;
      }
    } catch (error) {
      if (!(error instanceof SelmError)) throw error;
      passedOver.push({ path, reason: error.message });
      continue;
    }
    for (const [name, tensors] of groups(state.policy, state.optimiser))
      readInto(join(path, `${name}.safetensors`), tensors);
    refreshCompute(state.policy);
    state.optimiser.updates = step;
    return { step, passedOver };
  }
  return { step: 0, passedOver };
}

function readInto(path: string, tensors: ReadonlyMap<string, Tensor>): void {
  const header = readSafetensorsHeader(path);
  scope('read a checkpoint', () =>
    noGrad(() => {
      const file = mapFile(path);
      for (const [name, tensor] of tensors) {
        const entry = header.tensors.get(name);
        if (entry === undefined) throw new Error(`${path} has no tensor ${name}`);
        const begin = header.dataOffset + entry.begin;
        copy_(
          tensor,
          mappedTensor(file, { begin, end: header.dataOffset + entry.end, dtype: 'float32', shape: entry.shape }),
        );
      }
    }),
  );
}

/** Removes all checkpoints of a folder, when what they were for is saved. */
export function removeCheckpoints(folder: string): void {
  for (const { path } of listCheckpoints(folder)) removeQuietly(path);
}
