/** @file Writes a model directory in Hugging Face layout: what `transformers` loads is what was trained. */
import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WrittenFiles } from '../files/atomic.ts';
import { type TensorToWrite, writeSafetensors } from '../files/safetensors-write.ts';
import { type Dtype, dtypeBytes } from '../torch/dtype.ts';
import { narrow, to_dtype } from '../torch/ops.ts';
import { outlive, scope, type Tensor, toBytes } from '../torch/tensor.ts';
import { type Adapter, mergedWeight } from './adapter/lora.ts';
import type { ModelConfig } from './config.ts';
import { configText } from './config-text.ts';

/** Types that weights are saved in. */
export type SavedDtype = Extract<Dtype, 'float32' | 'bfloat16' | 'float16'>;

const NAMES: Record<SavedDtype, 'F32' | 'BF16' | 'F16'> = { float32: 'F32', bfloat16: 'BF16', float16: 'F16' };

const WEIGHTS = 'model.safetensors';

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
export function weightBytes(weights: ReadonlyMap<string, Tensor>, dtype: SavedDtype): number {
  return [...weights.values()].reduce((sum, { size }) => sum + size * dtypeBytes(dtype), 0);
}

/** Bytes of the slices that a large tensor is saved in. */
const SLICE_BYTES = 16 * 1024 * 1024;

/** What becomes of weights as they are saved. */
export interface SavedForm {
  dtype: SavedDtype;
  /** Merged into the weights. @default null */
  adapter?: Adapter | null | undefined;
  /** Most bytes in memory at once, where a row has no more. @default 16 MiB */
  sliceBytes?: number;
}

/** Weights as entries for writeSafetensors; an adapter is merged into them, and they are converted, when their turn comes. */
export function tensorEntries(weights: ReadonlyMap<string, Tensor>, form: SavedForm): TensorToWrite[] {
  return [...weights].map(([name, tensor]) => ({
    name,
    dtype: NAMES[form.dtype],
    shape: tensor.shape,
    bytes: () => savedSlices(name, tensor, form),
  }));
}

/** The bytes of a weight, some rows at a time. */
function* savedSlices(
  name: string,
  tensor: Tensor,
  { dtype, adapter = null, sliceBytes = SLICE_BYTES }: SavedForm,
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
  weights: ReadonlyMap<string, Tensor>;
  /** Merged into the weights. @default null */
  adapter?: Adapter | null;
  dtype: SavedDtype;
}

/**
 * Fills `directory` (which exists) with config.json, model.safetensors and the base's tokenizer files. The caller makes
 * it durable and gives it its name (files/atomic.ts).
 */
export function writeModelFiles(directory: string, model: ModelToSave): WrittenFiles {
  const fields: Record<string, unknown> = { ...model.raw.fields };
  // Checkpoints spell the type `dtype` or, before transformers 4.56, `torch_dtype`.
  if ('torch_dtype' in fields) fields.torch_dtype = model.dtype;
  if ('dtype' in fields || !('torch_dtype' in fields)) fields.dtype = model.dtype;
  writeFileSync(join(directory, 'config.json'), configText(fields, model.raw.text));
  const digest = writeSafetensors(join(directory, WEIGHTS), tensorEntries(model.weights, model), [['format', 'pt']]);
  copyCompanions(model.base, directory);
  return new Map([[WEIGHTS, digest]]);
}

/** Copies the tokenizer's files and their like from one folder to another. */
export function copyCompanions(from: string, to: string): void {
  for (const name of COMPANIONS) {
    if (existsSync(join(from, name))) copyFileSync(join(from, name), join(to, name));
  }
}
