/**
 * @file Opens a model directory in Hugging Face layout: configuration, and weights mapped from disk, not copied. A folder
 * with an adapter in PEFT's layout is opened as its base and the adapter.
 */
import { disposeAll, type Tensor } from '../torch/tensor.ts';
import { baseDirectory, isAdapterDirectory, readAdapter } from './adapter.ts';
import { type ModelConfig, readModelConfig } from './config.ts';
import type { Adapter } from './lora.ts';
import { openWeights } from './weight-files.ts';
import { expectedWeights, weightInFile } from './weights.ts';

/** A model on disk, ready to be read. */
export interface Model {
  directory: string;
  config: ModelConfig;
  /** By Hugging Face's names, in the type on disk; backed by the files. Never written to. */
  weights: ReadonlyMap<string, Tensor>;
  /** What is to be added to the weights, where the directory is an adapter's; `weights` are then its base's. */
  adapter: Adapter | null;
  /** Frees the mappings. */
  dispose(): void;
}

/**
 * Opens a model, or an adapter with its base. Every weight that the configuration asks for must be there with its shape,
 * and nothing else may be. ModelError names the file and the field or tensor.
 */
export function loadModel(directory: string): Model {
  const base = loadBase(baseDirectory(directory));
  try {
    const adapter = isAdapterDirectory(directory) ? readAdapter(directory, base.config) : null;
    return { ...base, directory, adapter, dispose: () => disposeAll([base.weights, adapter?.factors]) };
  } catch (error) {
    disposeAll(base.weights);
    throw error;
  }
}

function loadBase(directory: string): Pick<Model, 'config' | 'weights'> {
  const config = readModelConfig(directory);
  const weights = openWeights(directory, {
    model: `a ${config.family} model`,
    expected: expectedWeights(config),
    nameOf: (name) => weightInFile(config, name),
  });
  return { config, weights };
}

/** Opens a model for as long as `body` copies out of it what it needs; the mappings are freed whatever happens. */
export function withModel<T>(directory: string, body: (model: Model) => T): T {
  const model = loadModel(directory);
  try {
    return body(model);
  } finally {
    model.dispose();
  }
}
