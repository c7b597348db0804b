/** @file Mistral: a Llama whose attention slides, unless sliding_window is null (as it is from version 0.2 on). */
import { type Family, llamaLike, refuse, sameLayers } from './raw.ts';
import { ropeOf } from './rope.ts';

export const mistral: Family = {
  // MistralConfig of transformers: a file that leaves the window out has one of 4,096 tokens.
  defaults: { num_key_value_heads: 8, max_position_embeddings: 131_072, sliding_window: 4096 },
  normalise(source) {
    // transformers' Mistral ignores the field and says so: whose layers alternate is another model.
    if ((source.raw.layer_types ?? null) !== null)
      refuse(source, 'layer_types', 'absent: all layers of a Mistral are alike');
    const layers = sameLayers(source, { window: source.raw.sliding_window ?? 0, rope: 0 });
    return llamaLike(source, { ropes: [ropeOf(source)], layers });
  },
};
