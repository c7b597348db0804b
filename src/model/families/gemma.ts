/**
 * @file Gemma 2 and Gemma 3 (text): norms of one plus their weight around attention and MLP, scaled embeddings, a GELU gate,
 * alternating windows. Gemma 2 caps scores and logits softly; Gemma 3 norms queries and keys, and its sliding layers
 * have a rope of their own.
 */
import type { LayerAttention, ModelConfig, RopeConfig } from '../config.ts';
import { refuseField } from '../config-file.ts';
import { type Family, llamaLike, refuse, type Source, slidingLayers, windowOf } from './raw.ts';
import { type RawPlace, ropeAt, ropeOf } from './rope.ts';

// Gemma2Config and Gemma3TextConfig of transformers; published files leave many fields out.
const shared = {
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  hidden_activation: 'gelu_pytorch_tanh',
  tie_word_embeddings: true,
  query_pre_attn_scalar: 256,
  sliding_window: 4096,
};

function gemma(
  source: Source,
  attention: { ropes: readonly RopeConfig[]; layers: readonly LayerAttention[] },
): ModelConfig {
  const { raw } = source;
  const scalar = raw.query_pre_attn_scalar ?? refuse(source, 'query_pre_attn_scalar', 'a positive number');
  const bias = raw.attention_bias ?? false;
  return {
    ...llamaLike(source, { ...attention, activationField: 'hidden_activation' }),
    normScale: 'one-plus-weight',
    normPlacement: 'around',
    biases: { queryKeyValue: bias, output: bias, mlp: false },
    attentionScale: 1 / Math.sqrt(scalar),
    logitSoftCap: raw.final_logit_softcapping ?? 0,
    embeddingScale: Math.sqrt(raw.hidden_size),
  };
}

export const gemma2: Family = {
  defaults: {
    ...shared,
    vocab_size: 256_000,
    max_position_embeddings: 8192,
    final_logit_softcapping: 30,
    attn_logit_softcapping: 50,
  },
  normalise(source) {
    const sliding = slidingLayers(source, (layer) => layer % 2 === 0);
    const layers = sliding.map((slides) => ({ window: slides ? windowOf(source) : 0, rope: 0 }));
    return {
      ...gemma(source, { ropes: [ropeOf(source)], layers }),
      attentionSoftCap: source.raw.attn_logit_softcapping ?? 0,
    };
  },
};

/** Layers that see all (index 0) turn by a larger theta, and may be stretched; those that slide (1) turn by their own. */
function gemma3Ropes(source: Source): RopeConfig[] {
  const { rope_parameters: nested, rope_scaling: scaling, rope_theta, rope_local_base_freq } = source.raw;
  const theta = { full: rope_theta ?? 1_000_000, sliding: rope_local_base_freq ?? 10_000 };
  if (nested === null || nested === undefined) {
    return [
      gemma3Rope(source, { field: 'rope_scaling', values: scaling ?? {} }, theta.full),
      { kind: 'default', theta: theta.sliding },
    ];
  }
  const { full_attention: full, sliding_attention: sliding } = nested;
  if (!full && !sliding) refuse(source, 'rope_parameters', 'an object with full_attention and sliding_attention');
  return [
    gemma3Rope(source, { field: 'rope_parameters.full_attention', values: full ?? {} }, theta.full),
    gemma3Rope(source, { field: 'rope_parameters.sliding_attention', values: sliding ?? {} }, theta.sliding),
  ];
}

/** One of the two ropes; a length at which it changes would have to hold for both. */
function gemma3Rope(source: Source, place: RawPlace, theta: number): RopeConfig {
  const rope = ropeAt(source, place, { theta });
  if (rope.kind !== 'longrope') return rope;
  return refuse(
    source,
    `${place.field}.${place.values.rope_type ? 'rope_type' : 'type'}`,
    'default, linear, llama3 or yarn',
  );
}

export const gemma3: Family = {
  defaults: { ...shared, vocab_size: 262_208, max_position_embeddings: 131_072, sliding_window_pattern: 6 },
  normalise(source) {
    const { raw } = source;
    // transformers reads this cap and never applies it: whether a model that has one wants it cannot be known.
    if ((raw.attn_logit_softcapping ?? null) !== null) refuse(source, 'attn_logit_softcapping', 'null for gemma3_text');
    const pattern = raw.sliding_window_pattern ?? 6;
    const sliding = slidingLayers(source, (layer) => (layer + 1) % pattern !== 0);
    const layers = sliding.map((slides) => (slides ? { window: windowOf(source), rope: 1 } : { window: 0, rope: 0 }));
    return { ...gemma(source, { ropes: gemma3Ropes(source), layers }), queryKeyNorm: 'per-head' };
  },
};

/** Token ids that the whole model's file may hold for its text part. */
const TOKEN_FIELDS = ['bos_token_id', 'eos_token_id', 'pad_token_id'];

/** Gemma 3 of 4 billion parameters and more sees images too: its text part is read, and saved as a Gemma 3 for text. */
export const gemma3WithImages: Family = {
  defaults: gemma3.defaults,
  textPart(fields, path) {
    const text: unknown = fields.text_config;
    if (typeof text !== 'object' || text === null) {
      refuseField(path, { field: 'text_config', value: text, allowed: 'an object, the text part of the model' });
    }
    const inherited = TOKEN_FIELDS.flatMap((field) => (field in fields ? [[field, fields[field]]] : []));
    return {
      ...(Object.fromEntries(inherited) as Record<string, unknown>),
      ...text,
      quantization_config: fields.quantization_config ?? null,
      architectures: ['Gemma3ForCausalLM'],
      model_type: 'gemma3_text',
    };
  },
  normalise: (source) => ({ ...gemma3.normalise(source), part: 'text' }),
};
