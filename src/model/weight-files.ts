/**
 * @file The weights of a model directory as tensors, mapped from its safetensors files and held to what its
 * configuration asks for: every weight there with its shape, and nothing else.
 */
import { ModelError } from '../errors.ts';
import { type IndexedTensor, safetensorsIndex } from '../files/safetensors-index.ts';
import type { Dtype } from '../torch/dtype.ts';
import { mapFile, mappedTensor } from '../torch/mapped-file.ts';
import { clone } from '../torch/ops.ts';
import { outlive, scope, type Tensor } from '../torch/tensor.ts';
import { checkFinite } from './finite.ts';

/** What a model's files must hold. */
export interface WeightLayout {
  /** What the model is, for messages: `a llama model`. */
  model: string;
  /** Shape of every weight, by the name that the program knows it under. */
  expected: ReadonlyMap<string, readonly number[]>;
  /** The program's name of a tensor of the files; null for one that is passed over (it follows from the configuration). */
  nameOf: (fileName: string) => string | null;
}

const DTYPES: Record<string, Dtype> = { F32: 'float32', BF16: 'bfloat16', F16: 'float16' };

/** Throws ModelError MODEL_WEIGHT_SHAPE where a tensor has another shape than `by`, a file, asks for. */
export function checkShape(
  name: string,
  tensor: IndexedTensor,
  { shape: expected, by }: { shape: readonly number[]; by: string },
): void {
  if (tensor.shape.join() === expected.join()) return;
  throw new ModelError(
    'MODEL_WEIGHT_SHAPE',
    `Cannot load ${tensor.file.path}: tensor ${name} has shape [${tensor.shape}], ${by} asks for [${expected}]`,
    { details: { file: tensor.file.path, tensor: name } },
  );
}

/** The tensor, backed by its mapped file. Throws ModelError MODEL_WEIGHT_TYPE for a type that is not read. */
export function openTensor(name: string, tensor: IndexedTensor, file: Tensor): Tensor {
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
 * Opens every weight of the layout, in the type on disk, backed by the files; whoever calls this frees them. ModelError
 * names the file and the tensor that is missing, unknown, of another shape or type, or that holds what is no number.
 */
export function openWeights(directory: string, layout: WeightLayout): Map<string, Tensor> {
  const index = safetensorsIndex(directory);
  const found = new Map<string, { fileName: string; tensor: IndexedTensor }>();
  for (const [fileName, tensor] of index.tensors) {
    const name = layout.nameOf(fileName);
    if (name === null) continue;
    const shape = layout.expected.get(name);
    if (shape === undefined) {
      throw new ModelError(
        'MODEL_WEIGHT_UNKNOWN',
        `Cannot load ${tensor.file.path}: tensor ${fileName} has no place in ${layout.model} with the settings of config.json`,
        { details: { file: tensor.file.path, tensor: fileName } },
      );
    }
    checkShape(fileName, tensor, { shape, by: 'config.json' });
    found.set(name, { fileName, tensor });
  }
  return outlive(
    scope('load a model', () => {
      const files = new Map(index.files.map((file) => [file.path, mapFile(file.path)]));
      const opened = new Map<string, Tensor>();
      for (const name of layout.expected.keys()) {
        const entry = found.get(name);
        const file = entry && files.get(entry.tensor.file.path);
        if (entry === undefined || file === undefined) {
          throw new ModelError(
            'MODEL_WEIGHT_MISSING',
            `Cannot load ${directory}: tensor ${name} is in none of its safetensors files`,
            { details: { file: directory, tensor: name } },
          );
        }
        const tensor = openTensor(entry.fileName, entry.tensor, file);
        checkFinite(entry.fileName, tensor, entry.tensor.file.path);
        opened.set(name, tensor);
      }
      return opened;
    }),
  );
}
