/** @file Copies of the story model with something changed in their files: what a model from elsewhere may look like. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SafetensorsDtype } from '../../src/files/dtype.ts';
import { packageRoot } from '../../src/files/package-root.ts';
import { readSafetensorsHeader } from '../../src/files/safetensors.ts';
import { writeSafetensors } from '../../src/files/safetensors-write.ts';

const STORIES = join(packageRoot, 'assets', 'stories260K');

/** The start token and `Once upon a time`, as the story model's tokenizer has them. */
export const ONCE_UPON_A_TIME: readonly number[] = [1, 403, 407, 261, 378];

/** A tensor of a file, with its bytes in memory. */
export interface StoredTensor {
  dtype: SafetensorsDtype;
  shape: readonly number[];
  bytes: Uint8Array;
}

type Fields = Record<string, unknown>;

/** What is changed in the copy: its tensors in place, fields of its JSON files laid over those that are there. */
export interface Changes {
  tensors?: (tensors: Map<string, StoredTensor>) => void;
  files?: Readonly<Record<string, Fields | ((fields: Fields) => Fields)>>;
}

/** Fills `folder` with a changed copy of the story model, and returns it. */
export function changedModel(folder: string, { tensors: change, files = {} }: Changes): string {
  cpSync(STORIES, folder, { recursive: true });
  if (change !== undefined) {
    const path = join(folder, 'model.safetensors');
    const tensors = readTensors(path);
    change(tensors);
    writeSafetensors(
      path,
      [...tensors].map(([name, tensor]) => ({ name, ...tensor })),
      [['format', 'pt']],
    );
  }
  for (const [name, next] of Object.entries(files)) {
    const path = join(folder, name);
    const fields = JSON.parse(readFileSync(path, 'utf8')) as Fields;
    writeFileSync(path, JSON.stringify(typeof next === 'function' ? next(fields) : { ...fields, ...next }));
  }
  return folder;
}

/** Every tensor of a safetensors file. */
export function readTensors(path: string): Map<string, StoredTensor> {
  const { tensors, dataOffset } = readSafetensorsHeader(path);
  const data = readFileSync(path).subarray(dataOffset);
  return new Map(
    [...tensors].map(([name, { dtype, shape, begin, end }]) => [
      name,
      { dtype, shape, bytes: Buffer.from(data.subarray(begin, end)) },
    ]),
  );
}

/** A tensor that must be there. */
export function tensorOf(tensors: ReadonlyMap<string, StoredTensor>, name: string): StoredTensor {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new Error(`No tensor ${name}`);
  return tensor;
}
