/** @file Writes a model directory in Hugging Face layout: what `transformers` loads is what was trained. */
import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WrittenFiles } from '../files/atomic.ts';
import { elementBytes } from '../files/dtype.ts';
import type { FileDigest } from '../files/hash.ts';
import { type TensorToWrite, writeSafetensors } from '../files/safetensors-write.ts';
import { type Dtype, dtypeBytes } from '../torch/dtype.ts';
import { cat, narrow, reshape, to_dtype } from '../torch/ops.ts';
import { outlive, scope, type Tensor, toBytes } from '../torch/tensor.ts';
import { type Adapter, mergedWeight } from './adapter/lora.ts';
import type { ModelConfig } from './config.ts';
import { configText } from './config-text.ts';

/** Types that weights are saved in. */
export type SavedDtype = Extract<Dtype, 'float32' | 'bfloat16' | 'float16'>;

const NAMES: Record<SavedDtype, 'F32' | 'BF16' | 'F16'> = { float32: 'F32', bfloat16: 'BF16', float16: 'F16' };

const WEIGHTS = 'model.safetensors';

/** A weight in vectors that follow each other, such as the slices that ranks wrote of it. */
export interface WeightInParts {
  shape: readonly number[];
  parts: readonly Tensor[];
}

/** A copy of the weight in one piece; it belongs to the open scope. */
export function wholeWeight({ shape, parts }: WeightInParts): Tensor {
  return reshape(cat(parts), shape);
}

/** Most bytes of a file of weights, as Hugging Face's own writer has it; a larger tensor has a file of its own. */
const SHARD_BYTES = 5_000_000_000;

/** Files beside the weights that make a directory usable; copied from the base model when it has them. */
const COMPANIONS = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'tokenizer.model',
  'chat_template.jinja',
  'generation_config.json',
];

/** Bytes that weights take in a file of that type, its header left out. */
export function weightBytes(weights: ReadonlyMap<string, Pick<Tensor, 'size'>>, dtype: SavedDtype): number {
  return [...weights.values()].reduce((sum, { size }) => sum + size * dtypeBytes(dtype), 0);
}

/** Bytes of the slices that a large tensor is saved in. */
const SLICE_BYTES = 16 * 1024 * 1024;

/** What becomes of weights as they are saved. */
export interface SavedForm {
  /** A type for all, or each in its own. */
  dtype: SavedDtype | 'as-it-is';
  /** Merged into the weights. @default null */
  adapter?: Adapter | null | undefined;
  /** Most bytes in memory at once, where a row has no more. @default 16 MiB */
  sliceBytes?: number | undefined;
}

/** Weights as entries for writeSafetensors; an adapter is merged into them, and they are converted, when their turn comes. */
export function tensorEntries(weights: ReadonlyMap<string, Tensor | WeightInParts>, form: SavedForm): TensorToWrite[] {
  return [...weights].map(([name, weight]) => {
    const converted: Converted = { ...form, dtype: savedDtype(weight, form) };
    return {
      name,
      dtype: NAMES[converted.dtype],
      shape: weight.shape,
      bytes: () => ('parts' in weight ? savedParts(name, weight, converted) : savedSlices(name, weight, converted)),
    };
  });
}

type Converted = SavedForm & { dtype: SavedDtype };

function savedDtype(weight: Tensor | WeightInParts, { dtype }: Pick<SavedForm, 'dtype'>): SavedDtype {
  if (dtype !== 'as-it-is') return dtype;
  const own = 'parts' in weight ? weight.parts[0]?.dtype : weight.dtype;
  if (own === 'float32' || own === 'bfloat16' || own === 'float16') return own;
  throw new Error(`Weights are not saved in ${own}`);
}

/** The type that a configuration names: that of the matrices, where each has its own. */
function namedDtype(weights: ReadonlyMap<string, Tensor | WeightInParts>, form: Pick<SavedForm, 'dtype'>): SavedDtype {
  const matrix = [...weights.values()].find(({ shape }) => shape.length > 1);
  return matrix === undefined ? 'float32' : savedDtype(matrix, form);
}

function* savedParts(name: string, { parts }: WeightInParts, { dtype, sliceBytes }: Converted): Generator<Uint8Array> {
  for (const part of parts)
    yield* savedSlices(name, part, sliceBytes === undefined ? { dtype } : { dtype, sliceBytes });
}

/** The bytes of a weight, some rows at a time. */
function* savedSlices(
  name: string,
  tensor: Tensor,
  { dtype, adapter = null, sliceBytes = SLICE_BYTES }: Converted,
): Generator<Uint8Array> {
  // Merged whole, so that its bits are those that sampling computes.
  const isMerged = adapter?.factors.has(name) ?? false;
  const merged = isMerged ? outlive(scope(`merge ${name}`, () => mergedWeight(name, tensor, adapter))) : tensor;
  try {
    const [rows = 1] = tensor.shape;
    const rowBytes = (tensor.size / Math.max(1, rows)) * dtypeBytes(dtype);
    const count = Math.max(1, Math.floor(sliceBytes / Math.max(1, rowBytes)));
    const slices = Math.ceil(rows / count);
    for (let slice = 0; slice < slices; slice++)
      yield scope(`save ${name}`, () => {
        const part = slices === 1 ? merged : narrow(merged, 0, slice * count, Math.min(count, rows - slice * count));
        return toBytes(to_dtype(part, dtype));
      });
  } finally {
    if (isMerged) merged.dispose();
  }
}

/** A model to save. */
export interface ModelToSave {
  /** Folder whose tokenizer files are copied. */
  base: string;
  /** config.json. */
  raw: ModelConfig['raw'];
  weights: ReadonlyMap<string, Tensor | WeightInParts>;
  /** Merged into the weights, which are then no parts. @default null */
  adapter?: Adapter | null;
  dtype: SavedForm['dtype'];
  /** Most bytes of a file, a larger tensor aside. @default 5 GB */
  shardBytes?: number;
}

/**
 * Fills `directory` (which exists) with config.json, model.safetensors (or its shards and their index, where it would be
 * larger than one) and the base's tokenizer files. The caller makes it durable and gives it its name (files/atomic.ts).
 */
export function writeModelFiles(directory: string, model: ModelToSave): WrittenFiles {
  const fields: Record<string, unknown> = { ...model.raw.fields };
  // Checkpoints spell the type `dtype` or, before transformers 4.56, `torch_dtype`.
  const dtype = namedDtype(model.weights, model);
  if ('torch_dtype' in fields) fields.torch_dtype = dtype;
  if ('dtype' in fields || !('torch_dtype' in fields)) fields.dtype = dtype;
  writeFileSync(join(directory, 'config.json'), configText(fields, model.raw.text));
  const written = writeShards(directory, tensorEntries(model.weights, model), model.shardBytes ?? SHARD_BYTES);
  copyCompanions(model.base, directory);
  return written;
}

/** One file where that is small enough; else shards of neighbours, and the index that says where each tensor is. */
function writeShards(directory: string, entries: readonly TensorToWrite[], shardBytes: number): WrittenFiles {
  const shards: TensorToWrite[][] = [];
  let filled = Number.POSITIVE_INFINITY;
  let totalBytes = 0;
  for (const entry of entries) {
    const bytes = entry.shape.reduce((product, length) => product * length, elementBytes(entry.dtype));
    if (filled + bytes > shardBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)?.push(entry);
    filled += bytes;
    totalBytes += bytes;
  }
  const nameOf = (index: number): string => {
    const number = (value: number): string => String(value).padStart(5, '0');
    return shards.length === 1 ? WEIGHTS : `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`;
  };
  const digests = shards.map((shard, index): [string, FileDigest] => [
    nameOf(index),
    writeSafetensors(join(directory, nameOf(index)), shard, [['format', 'pt']]),
  ]);
  if (shards.length > 1) {
    const map = shards.flatMap((shard, index) => shard.map(({ name }) => [name, nameOf(index)] as const));
    const index = { metadata: { total_size: totalBytes }, weight_map: Object.fromEntries(map) };
    writeFileSync(join(directory, `${WEIGHTS}.index.json`), `${JSON.stringify(index, null, 2)}\n`);
  }
  return new Map(digests);
}

/** Copies the tokenizer's files and their like from one folder to another. */
export function copyCompanions(from: string, to: string): void {
  for (const name of COMPANIONS) {
    if (existsSync(join(from, name))) copyFileSync(join(from, name), join(to, name));
  }
}
