/** @file The blocks that sampling runs in one native call are those of model/decoder.ts, for each family's norms, biases and joints. */
import { describe, expect, it } from 'vitest';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import {
  attentionRule,
  type BlockContext,
  decoderBlock,
  finalNorm,
  mapValues,
  scaledEmbedding,
} from '../model/decoder.ts';
import { rotaryTables, rotations } from '../model/rope.ts';
import { biasName, EMBEDDING, headName, weightOf } from '../model/weights.ts';
import { randomKey } from '../random.ts';
import { noGrad } from '../torch/autograd.ts';
import { index_select, linear, narrow, softCap_, treeAttention } from '../torch/ops.ts';
import { disposeAll, int64, scope, toFloat32Array } from '../torch/tensor.ts';
import { layRows } from './layout.ts';
import { pagesFor } from './pages.ts';
import { decode, openCache, openSampler, prefill } from './sampler.ts';

const families: [string, Record<string, unknown>][] = [
  ['llama', {}],
  ['llama with biases', { attention_bias: true, mlp_bias: true }],
  ['qwen2', { model_type: 'qwen2' }],
  ['qwen3', { model_type: 'qwen3', head_dim: 8 }],
  ['phi3', { model_type: 'phi3' }],
  [
    'gemma2',
    { model_type: 'gemma2', query_pre_attn_scalar: 8, sliding_window: 5, attn_logit_softcapping: 2, head_dim: 8 },
  ],
  ['gemma3', { model_type: 'gemma3_text', query_pre_attn_scalar: 8, sliding_window: 5, head_dim: 8 }],
  ['olmo2', { model_type: 'olmo2' }],
];

/** Logits after the last of some tokens, by the blocks of model/decoder.ts in fp32. */
function plainLogits(config: ReturnType<typeof smallConfig>, ids: readonly number[]): Float32Array {
  const weights = smallWeights(config);
  return scope('plain', () =>
    noGrad(() => {
      const rotation = rotations(
        config,
        rotaryTables(config, ids.length, weightOf(weights, EMBEDDING).device),
        int64(ids.map((_, i) => i)),
      );
      const product: BlockContext['linear'] = (x, name) =>
        linear(x, weightOf(weights, name), { bias: weights.get(biasName(name)) });
      const context: BlockContext = {
        config,
        vector: (name) => weightOf(weights, name),
        linear: product,
        linears: (x, names) => mapValues(names, (name) => product(x, name)),
        attend: ({ q_THd, k_TKd, v_TKd }, layer) => {
          const { scale, window, softCap } = attentionRule(config, layer);
          return treeAttention(q_THd, k_TKd, v_TKd, [0, ids.length, -1], scale, { window, softCap });
        },
        rotation,
      };
      let x_TD = scaledEmbedding(index_select(weightOf(weights, EMBEDDING), 0, int64(ids)), config);
      for (let layer = 0; layer < config.layers; layer++) x_TD = decoderBlock(x_TD, layer, context);
      const last = narrow(finalNorm(x_TD, context), 0, ids.length - 1, 1);
      const logits = linear(last, weightOf(weights, headName(config)));
      return toFloat32Array(config.logitSoftCap > 0 ? softCap_(logits, config.logitSoftCap) : logits);
    }),
  );
}

describe('prefill() and decode()', () => {
  it.each(families)('give the logits of the blocks of %s, one after the other', (_, fields) => {
    const config = smallConfig(fields);
    const ids = [5, 9, 2, 17, 30, 4, 8, 11];
    const sampler = openSampler({ config, weights: smallWeights(config) });
    const cache = openCache(sampler, 16);
    const pages = cache.pages.take(pagesFor(ids.length));
    const own = cache.pages.take(1);
    const prompt = { pages, length: ids.length };
    const rows = [{ prompt, pages: own, position: 0, key: randomKey(0) }];
    const { device } = sampler.embedding;
    const layout = layRows(rows, { config, device, length: cache.length });
    const [prefilled, decoded] = scope('sampled', () => [
      toFloat32Array(prefill(sampler, cache, [{ ids, pages, known: 0 }])),
      toFloat32Array(decode(sampler, cache, layout, int64([7]))),
    ]);
    for (const [found, tokens] of [
      [prefilled, ids],
      [decoded, [...ids, 7]],
    ] as const) {
      const expected = plainLogits(config, tokens);
      // Another order of fp32 sums over a width of 32 in two blocks.
      expected.forEach((value, i) => void expect(Math.abs(value - (found?.[i] ?? Number.NaN))).toBeLessThan(2e-5));
    }
    disposeAll(layout);
    cache.dispose();
    sampler.dispose();
  });
});
