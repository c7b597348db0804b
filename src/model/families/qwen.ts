/** @file Qwen2 and Qwen2.5 (biases on queries, keys and values) and Qwen3 (a norm of each head's query and key instead). */
import type { LayerAttention } from '../config.ts';
import { type Family, llamaLike, type Source, slidingLayers, windowOf } from './raw.ts';
import { ropeOf } from './rope.ts';

const shared = {
  max_position_embeddings: 32_768,
  sliding_window: 4096,
  max_window_layers: 28,
  use_sliding_window: false,
};

/** Layers from max_window_layers on slide, where use_sliding_window says that any do. */
function layersOf(source: Source): LayerAttention[] {
  const { use_sliding_window: used, max_window_layers: first, sliding_window: window } = source.raw;
  // As transformers does: a window that is not used is no window, and layer_types may then name none.
  const active: Source = { ...source, raw: { ...source.raw, sliding_window: used ? window : null } };
  const slides = (layer: number): boolean => active.raw.sliding_window !== null && layer >= (first ?? 0);
  return slidingLayers(active, slides).map((sliding) => ({ window: sliding ? windowOf(active) : 0, rope: 0 }));
}

export const qwen2: Family = {
  defaults: { ...shared, num_key_value_heads: 32 },
  normalise: (source) => ({
    ...llamaLike(source, { ropes: [ropeOf(source)], layers: layersOf(source) }),
    biases: { queryKeyValue: true, output: false, mlp: false },
  }),
};

export const qwen3: Family = {
  defaults: { ...shared, num_key_value_heads: 32, head_dim: 128 },
  normalise(source) {
    const bias = source.raw.attention_bias ?? false;
    return {
      ...llamaLike(source, { ropes: [ropeOf(source)], layers: layersOf(source) }),
      queryKeyNorm: 'per-head',
      biases: { queryKeyValue: bias, output: bias, mlp: false },
    };
  },
};
