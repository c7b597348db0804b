/** @file Opens a model directory in Hugging Face layout: configuration, and weights mapped from disk, not copied. */
import { ModelError } from '../errors.ts';
import { type IndexedTensor, safetensorsIndex } from '../files/safetensors-index.ts';
import type { Dtype } from '../torch/dtype.ts';
import { mapFile, mappedTensor } from '../torch/mapped-file.ts';
import { clone } from '../torch/ops.ts';
import { disposeAll, keep, scope, type Tensor } from '../torch/tensor.ts';
import { type ModelConfig, readModelConfig } from './config.ts';
import { expectedWeights, HEAD } from './weights.ts';

/** A model on disk, ready to be read. */
export interface Model {
  directory: string;
  config: ModelConfig;
  /** By Hugging Face's names, in the type on disk; backed by the files. Never written to. */
  weights: ReadonlyMap<string, Tensor>;
  /** Frees the mappings. */
  dispose(): void;
}

const DTYPES: Record<string, Dtype> = { F32: 'float32', BF16: 'bfloat16', F16: 'float16' };

/** Buffers that older checkpoints carry and that follow from the configuration. */
function isDerived(name: string): boolean {
  return name.endsWith('rotary_emb.inv_freq');
}

function checkShape(name: string, tensor: IndexedTensor, expected: readonly number[]): void {
  if (tensor.shape.join() === expected.join()) return;
  throw new ModelError(
    'MODEL_WEIGHT_SHAPE',
    `Cannot load ${tensor.file.path}: tensor ${name} has shape [${tensor.shape}], config.json asks for [${expected}]`,
    { details: { file: tensor.file.path, tensor: name } },
  );
}

function openTensor(name: string, tensor: IndexedTensor, file: Tensor): Tensor {
  const dtype = DTYPES[tensor.dtype];
  if (dtype === undefined) {
    throw new ModelError(
      'MODEL_WEIGHT_TYPE',
      `Cannot load ${tensor.file.path}: tensor ${name} has type ${tensor.dtype}, supported are ${Object.keys(DTYPES).join(', ')}`,
      { details: { file: tensor.file.path, tensor: name } },
    );
  }
  const begin = tensor.file.dataOffset + tensor.begin;
  const range = { begin, end: tensor.file.dataOffset + tensor.end, dtype, shape: tensor.shape };
  const aligned = begin % (dtype === 'float32' ? 4 : 2) === 0;
  if (aligned) return mappedTensor(file, range);
  // A foreign writer may leave data at odd offsets; elements cannot be read there in place.
  const bytes = clone(mappedTensor(file, { ...range, dtype: 'uint8', shape: [range.end - range.begin] }));
  return mappedTensor(bytes, { ...range, begin: 0, end: range.end - range.begin });
}

/**
 * Opens a model. Every weight that the configuration asks for must be there with its shape, and nothing else may be.
 * ModelError names the file and the field or tensor.
 */
export function loadModel(directory: string): Model {
  const config = readModelConfig(directory);
  const index = safetensorsIndex(directory);
  const expected = expectedWeights(config);
  for (const [name, tensor] of index.tensors) {
    const shape = expected.get(name);
    if (shape !== undefined) checkShape(name, tensor, shape);
    else if (!isDerived(name) && !(name === HEAD && config.tiedHead)) {
      throw new ModelError(
        'MODEL_WEIGHT_UNKNOWN',
        `Cannot load ${tensor.file.path}: tensor ${name} has no place in a ${config.family} model with the settings of config.json`,
        { details: { file: tensor.file.path, tensor: name } },
      );
    }
  }
  const weights = keep(
    scope('load a model', () => {
      const files = new Map(index.files.map((file) => [file.path, mapFile(file.path)]));
      const opened = new Map<string, Tensor>();
      for (const name of expected.keys()) {
        const tensor = index.tensors.get(name);
        const file = tensor && files.get(tensor.file.path);
        if (tensor === undefined || file === undefined) {
          throw new ModelError(
            'MODEL_WEIGHT_MISSING',
            `Cannot load ${directory}: tensor ${name} is in none of its safetensors files`,
            { details: { file: directory, tensor: name } },
          );
        }
        opened.set(name, openTensor(name, tensor, file));
      }
      return opened;
    }),
  );
  return { directory, config, weights, dispose: () => disposeAll(weights) };
}
