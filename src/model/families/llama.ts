/** @file Llama 2 and 3, TinyLlama, SmolLM2: the family that all others are described against. */
import { type Family, llamaLike, sameLayers } from './raw.ts';
import { ropeOf } from './rope.ts';

export const llama: Family = {
  defaults: {},
  normalise(source) {
    const { attention_bias, mlp_bias } = source.raw;
    const attention = attention_bias ?? false;
    return {
      ...llamaLike(source, { ropes: [ropeOf(source)], layers: sameLayers(source, { window: 0, rope: 0 }) }),
      biases: { queryKeyValue: attention, output: attention, mlp: mlp_bias ?? false },
    };
  },
};
