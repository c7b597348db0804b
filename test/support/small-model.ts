/**
 * @file A small random decoder for tests: 2 blocks, width 32, grouped queries, 64 words; weights from counter-based
 * normals. A Llama, or another family by its fields.
 */
import type { ModelConfig } from '../../src/model/config.ts';
import { normaliseConfig } from '../../src/model/read-config.ts';
import { expectedWeights } from '../../src/model/weights.ts';
import { normalAt, randomKey } from '../../src/random.ts';
import { outlive, type Tensor, tensorFrom } from '../../src/torch/tensor.ts';

export function smallConfig(changes: Record<string, unknown> = {}): ModelConfig {
  const raw = {
    model_type: 'llama',
    hidden_size: 32,
    intermediate_size: 56,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 64,
    max_position_embeddings: 128,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    ...changes,
  };
  return normaliseConfig(raw, 'test');
}

/** Weights of scale 1 / sqrt(inputs), norms near 1: activations neither vanish nor explode. */
export function smallWeights(config: ModelConfig, seed = 1, device?: string): Map<string, Tensor> {
  const weights = new Map<string, Tensor>();
  for (const [name, shape] of expectedWeights(config)) {
    const size = shape.reduce((product, length) => product * length, 1);
    const key = randomKey(seed, name);
    const scale = shape.length === 1 ? 0.1 : 1 / Math.sqrt(shape[1] ?? 1);
    const base = name.endsWith('norm.weight') && config.normScale === 'weight' ? 1 : 0;
    const values = Float32Array.from({ length: size }, (_, i) => base + scale * normalAt(key, i));
    weights.set(name, outlive(tensorFrom(values, shape, 'float32', device)));
  }
  return weights;
}
