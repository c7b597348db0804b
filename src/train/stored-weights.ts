/**
 * @file Weights in a checkpoint, whole or in parts: a rank writes what it has, in a file of its own, and whoever reads takes
 * what it needs, so that another number of ranks goes on. A tensor `NAME@N` holds the elements of NAME from N on.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensorsHeader } from '../files/safetensors.ts';
import type { WeightInParts } from '../model/save.ts';
import type { FlatLayout } from '../shard/layout.ts';
import { piecesOf } from '../shard/layout.ts';
import type { Dtype } from '../torch/dtype.ts';
import type { Group } from '../torch/group.ts';
import { mapFile, mappedTensor } from '../torch/mapped-file.ts';
import { copy_, narrow, reshape } from '../torch/ops.ts';
import { scope, type Tensor } from '../torch/tensor.ts';

/** A part of a weight, in a mapped file. */
interface StoredPart {
  /** First of its elements in the weight. */
  from: number;
  count: number;
  tensor: Tensor;
}

/** Types of what a checkpoint holds. */
const DTYPES: ReadonlyMap<string, Dtype> = new Map([
  ['F32', 'float32'],
  ['BF16', 'bfloat16'],
]);

/** The parts of each weight in their order; backed by files. */
export type StoredWeights = ReadonlyMap<string, readonly StoredPart[]>;

/** The file of one kind of weights: of a rank among others, or of one that has them whole. */
export function weightsFile(kind: string, ranks: Pick<Group, 'rank' | 'size'> | null): string {
  return ranks === null ? `${kind}.safetensors` : `${kind}-${ranks.rank + 1}-of-${ranks.size}.safetensors`;
}

/** Opens one kind of weights of a folder; tensors belong to the open scope. */
export function openStored(directory: string, kind: string): StoredWeights {
  const weights = new Map<string, StoredPart[]>();
  for (const name of readdirSync(directory).filter((each) => isOfKind(each, kind))) {
    const path = join(directory, name);
    const header = readSafetensorsHeader(path);
    const file = mapFile(path);
    for (const [key, entry] of header.tensors) {
      const [, weight = key, from = '0'] = /^(.*)@(\d+)$/.exec(key) ?? [];
      const count = entry.shape.reduce((product, length) => product * length, 1);
      const [begin, end] = [header.dataOffset + entry.begin, header.dataOffset + entry.end];
      const dtype = DTYPES.get(entry.dtype);
      if (dtype === undefined) throw new Error(`The checkpoint ${path} has ${weight} in ${entry.dtype}`);
      const tensor = mappedTensor(file, { begin, end, dtype, shape: [count] });
      weights.set(weight, [...(weights.get(weight) ?? []), { from: Number(from), count, tensor }]);
    }
  }
  for (const parts of weights.values()) parts.sort((a, b) => a.from - b.from);
  return weights;
}

function isOfKind(name: string, kind: string): boolean {
  return name === weightsFile(kind, null) || new RegExp(`^${kind}-\\d+-of-\\d+\\.safetensors$`).test(name);
}

/** Copies the elements of a weight from `from` on into a vector. Throws Error where the checkpoint lacks one. */
export function readStored(
  stored: StoredWeights,
  { name, from }: { name: string; from: number },
  target: Tensor,
): void {
  let read = 0;
  for (const part of stored.get(name) ?? []) {
    const begin = Math.max(from, part.from);
    const count = Math.min(from + target.size, part.from + part.count) - begin;
    if (count <= 0) continue;
    scope(`read ${name}`, () => {
      copy_(narrow(target, 0, begin - from, count), narrow(part.tensor, 0, begin - part.from, count));
    });
    read += count;
  }
  if (read !== target.size) throw new Error(`The checkpoint has ${read} of ${target.size} elements of ${name}`);
}

/** Fills a weight. */
export function readWhole(stored: StoredWeights, name: string, weight: Tensor): void {
  scope(`read ${name}`, () => readStored(stored, { name, from: 0 }, reshape(weight, [-1])));
}

/** Fills a rank's slice of a flat. */
export function readSlice(
  stored: StoredWeights,
  { layout, group, own }: { layout: FlatLayout; group: Pick<Group, 'rank' | 'size'>; own: Tensor },
): void {
  for (const { name, inWeight, inSlice, count } of piecesOf(layout, group))
    scope(`read ${name}`, () => readStored(stored, { name, from: inWeight }, narrow(own, 0, inSlice, count)));
}

/** What a rank writes of its slice of a flat: its parts of weights, by their names in the file. */
export function partsOfSlice(
  own: Tensor,
  { layout, group }: { layout: FlatLayout; group: Pick<Group, 'rank' | 'size'> },
): [string, Tensor][] {
  return piecesOf(layout, group).map(({ name, inWeight, inSlice, count }) => [
    `${name}@${inWeight}`,
    narrow(own, 0, inSlice, count),
  ]);
}

/** Weights of these shapes as they lie in a checkpoint. */
export function weightsInParts(
  stored: StoredWeights,
  shapes: ReadonlyMap<string, readonly number[]>,
): Map<string, WeightInParts> {
  return new Map(
    [...shapes].map(([name, shape]) => [name, { shape, parts: (stored.get(name) ?? []).map(({ tensor }) => tensor) }]),
  );
}
