/**
 * @file Opens a model directory in Hugging Face layout: configuration, and weights mapped from disk, not copied. A folder
 * with an adapter in PEFT's layout is opened as its base and the adapter.
 */
import { _to_copy } from '../torch/ops.ts';
import { disposeAll, outlive, scope, type Tensor } from '../torch/tensor.ts';
import { baseDirectory, isAdapterDirectory, readAdapter } from './adapter/adapter.ts';
import type { Adapter } from './adapter/lora.ts';
import type { ModelConfig } from './config.ts';
import { settleHead } from './head.ts';
import { readModelConfig } from './read-config.ts';
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

/** Where a model is opened. */
export interface ModelOptions {
  /** `cpu`, `cuda`, `cuda:1` ... @default 'cpu' */
  device?: string;
}

/**
 * Opens a model, or an adapter with its base. Every weight that the configuration asks for must be there with its shape,
 * and nothing else may be. ModelError names the file and the field or tensor. On another device than the CPU the weights
 * are copied there; whatever is computed with them is computed where they are.
 */
export function loadModel(directory: string, { device = 'cpu' }: ModelOptions = {}): Model {
  const base = loadBase(baseDirectory(directory));
  let adapter: Adapter | null = null;
  try {
    adapter = isAdapterDirectory(directory) ? readAdapter(directory, base) : null;
    const model = { ...base, directory, adapter };
    const placed = device === 'cpu' ? model : onDevice(model, device);
    return { ...placed, dispose: () => disposeAll([placed.weights, placed.adapter?.factors]) };
  } catch (error) {
    disposeAll([base.weights, adapter?.factors]);
    throw error;
  }
}

/** The model copied to another device; what lay on the CPU is freed. */
function onDevice<M extends Pick<Model, 'weights' | 'adapter'>>(model: M, device: string): M {
  const move = (tensor: Tensor): Tensor => _to_copy(tensor, { device });
  const { weights, adapter } = model;
  const moved = outlive(
    scope('move a model', () => ({
      weights: new Map([...weights].map(([name, weight]) => [name, move(weight)])),
      factors: new Map(
        [...(adapter?.factors ?? [])].map(([name, { a_RI, b_OR }]) => [name, { a_RI: move(a_RI), b_OR: move(b_OR) }]),
      ),
    })),
  );
  disposeAll([weights, adapter?.factors]);
  return { ...model, weights: moved.weights, adapter: adapter && { ...adapter, factors: moved.factors } };
}

function loadBase(directory: string): Pick<Model, 'config' | 'weights'> {
  const config = settleHead(readModelConfig(directory), directory);
  const weights = openWeights(directory, {
    model: `a ${config.family} model`,
    expected: expectedWeights(config),
    nameOf: (name) => weightInFile(config, name),
  });
  return { config, weights };
}

/** Opens a model for as long as `body` copies out of it what it needs; the mappings are freed whatever happens. */
export function withModel<T>(directory: string, body: (model: Model) => T, options: ModelOptions = {}): T {
  const model = loadModel(directory, options);
  try {
    return body(model);
  } finally {
    model.dispose();
  }
}
