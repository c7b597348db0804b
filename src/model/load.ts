/** @file Opens a model directory in Hugging Face layout: configuration, and weights mapped from disk, not copied. */
import { disposeAll, type Tensor } from '../torch/tensor.ts';
import { type ModelConfig, readModelConfig } from './config.ts';
import { openWeights } from './weight-files.ts';
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

/** Buffers that older checkpoints carry and that follow from the configuration. */
function isDerived(name: string): boolean {
  return name.endsWith('rotary_emb.inv_freq');
}

/**
 * Opens a model. Every weight that the configuration asks for must be there with its shape, and nothing else may be.
 * ModelError names the file and the field or tensor.
 */
export function loadModel(directory: string): Model {
  const config = readModelConfig(directory);
  const weights = openWeights(directory, {
    model: `a ${config.family} model`,
    expected: expectedWeights(config),
    nameOf: (name) => (isDerived(name) || (name === HEAD && config.tiedHead) ? null : name),
  });
  return { directory, config, weights, dispose: () => disposeAll(weights) };
}
