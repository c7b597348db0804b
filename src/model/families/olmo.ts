/** @file OLMo 2: norms after attention and MLP, before they are added; and norms over all queries and all keys. */
import { type Family, llamaLike, sameLayers } from './raw.ts';
import { ropeOf } from './rope.ts';

export const olmo2: Family = {
  defaults: { rms_norm_eps: 1e-5 },
  normalise(source) {
    const bias = source.raw.attention_bias ?? false;
    return {
      ...llamaLike(source, { ropes: [ropeOf(source)], layers: sameLayers(source, { window: 0, rope: 0 }) }),
      normPlacement: 'after',
      queryKeyNorm: 'whole',
      biases: { queryKeyValue: bias, output: bias, mlp: false },
    };
  },
};
