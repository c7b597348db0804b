/** @file Phi-3 and Phi-3.5: projections in one matrix, a sliding window, and LongRoPE in the variants for long texts. */
import { type Family, llamaLike, sameLayers } from './raw.ts';
import { ropeOf } from './rope.ts';

/** Names that early files gave to LongRoPE. */
const SYNONYMS = { su: 'longrope', yarn: 'longrope' };

export const phi3: Family = {
  defaults: {
    num_key_value_heads: null,
    max_position_embeddings: 4096,
    original_max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    sliding_window: null,
  },
  normalise(source) {
    const layers = sameLayers(source, { window: source.raw.sliding_window ?? 0, rope: 0 });
    return {
      ...llamaLike(source, { ropes: [ropeOf(source, { synonyms: SYNONYMS })], layers }),
      projections: 'fused',
    };
  },
};
