/**
 * @file What training needs to go on where it stopped: masters and moments, and the number of steps done. A checkpoint is
 * a directory written whole or not at all, and trusted only after its hashes were checked (src/files/atomic.ts).
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SelmError } from '../errors.ts';
import { commitDirectory, removeQuietly, verifyDirectory, type WrittenFiles } from '../files/atomic.ts';
import type { FileDigest } from '../files/hash.ts';
import type { DirectoryManifest } from '../files/manifest.ts';
import { writeSafetensors } from '../files/safetensors-write.ts';
import { tensorEntries, type WeightInParts } from '../model/save.ts';
import { type Policy, refreshCompute } from '../score/policy.ts';
import type { FlatLayout } from '../shard/layout.ts';
import { noGrad } from '../torch/autograd.ts';
import { dtypeBytes } from '../torch/dtype.ts';
import type { Group } from '../torch/group.ts';
import { hold, scope, type Tensor } from '../torch/tensor.ts';
import type { OptimiserState } from './optimiser.ts';
import {
  openStored,
  partsOfSlice,
  readSlice,
  readWhole,
  type StoredWeights,
  weightsFile,
  weightsInParts,
} from './stored-weights.ts';

const PREFIX = 'checkpoint-';
/** The last one may be the one that a crash interrupts, so two are kept. */
const KEPT = 2;

/** What a checkpoint holds: tensors by weight, or this rank's slices by flat. */
const WEIGHTS = 'weights';

function kinds(policy: Policy, optimiser: OptimiserState): [string, ReadonlyMap<string, Tensor>][] {
  return [
    [WEIGHTS, policy.masters],
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

/** The state to be saved after `step` updates. */
interface SavedState {
  policy: Policy;
  optimiser: OptimiserState;
  step: number;
  plan: string;
}

/**
 * Writes `folder`/checkpoint-`step` after `step` updates, and removes all but the newest two. Where ranks share the
 * policy, all of them call this: each writes what it has, and rank 0 makes it whole.
 */
export async function saveCheckpoint(folder: string, state: SavedState): Promise<void> {
  const { policy, step, plan } = state;
  const { shards } = policy;
  if (shards !== null && shards.group.rank > 0) return writeAsOther(shards.group, state);
  const path = join(folder, `${PREFIX}${step}`);
  await commitDirectory(
    path,
    async (temporary) =>
      shards === null ? writeState(temporary, state) : await writeWithOthers(shards.group, temporary, state),
    { details: { step, plan }, bytesNeeded: 3 * trainedBytes(policy) },
  );
  for (const { path: old } of listCheckpoints(folder).slice(KEPT)) removeQuietly(old);
}

/** Bytes of all masters, whoever has them. */
export function trainedBytes({ masters, shards }: Policy): number {
  const bytes =
    shards === null
      ? [...masters.values()].map(({ size, dtype }) => size * dtypeBytes(dtype))
      : shards.flats.map(({ layout, gradient, own }) =>
          gradient === null ? 0 : layout.length * dtypeBytes(own.dtype),
        );
  return bytes.reduce((sum, each) => sum + each, 0);
}

/** Writes what this process has of a state. */
function writeState(directory: string, { policy, optimiser }: SavedState): Map<string, FileDigest> {
  const { shards } = policy;
  const digests = kinds(policy, optimiser).map(([kind, tensors]): [string, FileDigest] => {
    const name = weightsFile(kind, shards === null ? null : shards.group);
    const { result, free } = hold('a checkpoint', () =>
      noGrad(() => (shards === null ? tensors : new Map(trainedFlats(policy, tensors).flatMap(partsOf)))),
    );
    try {
      return [name, writeSafetensors(join(directory, name), tensorEntries(result, { dtype: 'as-it-is' }))];
    } finally {
      free();
    }
  });
  return new Map(digests);
}

interface SliceOfFlat {
  layout: FlatLayout;
  group: Group;
  own: Tensor;
}

const partsOf = ({ own, ...place }: SliceOfFlat): [string, Tensor][] => partsOfSlice(own, place);

/** This rank's slices of what is trained, with their layouts. */
function trainedFlats({ shards }: Policy, slices: ReadonlyMap<string, Tensor>): SliceOfFlat[] {
  if (shards === null) return [];
  const { group, flats } = shards;
  return flats.flatMap(({ layout }) => {
    const own = slices.get(layout.name);
    return own === undefined ? [] : [{ layout, group, own }];
  });
}

/** Rank 0: says where to write, writes, and collects what the others wrote. */
async function writeWithOthers(group: Group, temporary: string, state: SavedState): Promise<WrittenFiles> {
  await group.share(`folder of checkpoint ${state.step}`, Buffer.from(temporary));
  const own = Buffer.from(JSON.stringify([...writeState(temporary, state)]));
  const all = await group.gather(`files of checkpoint ${state.step}`, own);
  // Of ranks of this very code.
  return new Map(all.flatMap((bytes) => JSON.parse(Buffer.from(bytes).toString()) as [string, FileDigest][]));
}

/** Another rank: writes where rank 0 says. */
async function writeAsOther(group: Group, state: SavedState): Promise<void> {
  const temporary = Buffer.from(await group.share(`folder of checkpoint ${state.step}`, new Uint8Array())).toString();
  const own = Buffer.from(JSON.stringify([...writeState(temporary, state)]));
  await group.gather(`files of checkpoint ${state.step}`, own);
}

/** A checkpoint that was found, or passed over and why. */
export interface RestoredState {
  step: number;
  passedOver: { path: string; reason: string }[];
}

/** Checks a checkpoint and gives its manifest. Throws FileError. */
export type Verify = (path: string) => Promise<DirectoryManifest>;

/**
 * Loads the newest checkpoint that verifies and belongs to `plan` into the policy and the optimiser. Step 0 when there is
 * none. A damaged checkpoint is passed over, and one of another training removed; both are reported.
 */
export async function restoreCheckpoint(
  folder: string,
  state: { policy: Policy; optimiser: OptimiserState; plan: string },
  verify: Verify = verifyDirectory,
): Promise<RestoredState> {
  const passedOver: RestoredState['passedOver'] = [];
  for (const { path, step } of listCheckpoints(folder)) {
    try {
      const manifest = await verify(path);
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
    readState(path, state);
    refreshCompute(state.policy);
    state.optimiser.updates = step;
    return { step, passedOver };
  }
  return { step: 0, passedOver };
}

/** Reads what this process needs of a state, whoever wrote it. */
function readState(path: string, { policy, optimiser }: { policy: Policy; optimiser: OptimiserState }): void {
  scope('read a checkpoint', () =>
    noGrad(() => {
      for (const [kind, tensors] of kinds(policy, optimiser)) {
        const stored = openStored(path, kind);
        if (policy.shards === null) for (const [name, tensor] of tensors) readWhole(stored, name, tensor);
        for (const slice of trainedFlats(policy, tensors)) readSlice(stored, slice);
        if (kind === WEIGHTS) readResident(policy, stored);
      }
    }),
  );
}

/** Weights that every rank has whole. */
function readResident({ shards }: Policy, stored: StoredWeights): void {
  for (const { resident, gradient } of shards?.flats ?? [])
    if (resident !== null && gradient !== null)
      for (const [name, weight] of resident.weights) readWhole(stored, name, weight);
}

/** Lets `body` have the trained weights of the newest checkpoint of a folder, by name, backed by its files. */
export function withStoredWeights<Result>(
  folder: string,
  policy: Policy,
  body: (weights: ReadonlyMap<string, WeightInParts>) => Result,
): Result {
  const [newest] = listCheckpoints(folder);
  if (newest === undefined) throw new Error(`No checkpoint in ${folder}`);
  const shapes = new Map(
    (policy.shards?.flats ?? []).flatMap(({ layout, gradient }) =>
      gradient === null ? [] : layout.entries.map(({ name, shape }) => [name, shape] as const),
    ),
  );
  const { result, free } = hold('saved weights', () =>
    noGrad(() => body(weightsInParts(openStored(newest.path, WEIGHTS), shapes))),
  );
  free();
  return result;
}

/** Removes all checkpoints of a folder, when what they were for is saved. */
export function removeCheckpoints(folder: string): void {
  for (const { path } of listCheckpoints(folder)) removeQuietly(path);
}
