/**
 * @file The fields of config.json that decoders have, and the Llama that they make when no family says otherwise. A family
 * is the values that transformers' configuration class gives to absent fields, and what its fields change.
 */
import { z } from 'zod';
import type { LayerAttention, ModelConfig, RopeConfig } from '../config.ts';
import { refuseField } from '../config-file.ts';

/** No size of a real model comes near; within it, the bytes of a matrix can be counted exactly. */
const positive = z
  .number()
  .int()
  .positive()
  .max(2 ** 24);
/** Of heads, of a head, and of layers, each of which gets entries of its own. */
const few = positive.max(4096);
export const ropeSchema = z.looseObject({
  rope_theta: z.number().positive().nullish(),
  rope_type: z.string().nullish(),
  type: z.string().nullish(),
  factor: z.number().positive().nullish(),
  low_freq_factor: z.number().positive().nullish(),
  high_freq_factor: z.number().positive().nullish(),
  original_max_position_embeddings: positive.nullish(),
  attention_factor: z.number().positive().nullish(),
  beta_fast: z.number().positive().nullish(),
  beta_slow: z.number().positive().nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().nullish(),
  short_factor: z.array(z.number().positive()).nullish(),
  long_factor: z.array(z.number().positive()).nullish(),
  partial_rotary_factor: z.number().nullish(),
});
export type RawRope = z.infer<typeof ropeSchema>;

export const rawSchema = z.looseObject({
  model_type: z.string(),
  hidden_size: positive,
  intermediate_size: positive,
  num_hidden_layers: few,
  num_attention_heads: few,
  num_key_value_heads: few.nullish(),
  head_dim: few.nullish(),
  vocab_size: positive,
  max_position_embeddings: positive.default(2048),
  original_max_position_embeddings: positive.nullish(),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().nullish(),
  rope_local_base_freq: z.number().positive().nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema
    .extend({ full_attention: ropeSchema.nullish(), sliding_attention: ropeSchema.nullish() })
    .nullish(),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  hidden_act: z.string().default('silu'),
  hidden_activation: z.string().nullish(),
  partial_rotary_factor: z.number().nullish(),
  sliding_window: positive.nullish(),
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: z.number().int().nonnegative().nullish(),
  sliding_window_pattern: positive.nullish(),
  layer_types: z.array(z.string()).nullish(),
  query_pre_attn_scalar: z.number().positive().nullish(),
  attn_logit_softcapping: z.number().positive().nullish(),
  final_logit_softcapping: z.number().positive().nullish(),
  use_bidirectional_attention: z.unknown().optional(),
  quantization_config: z.unknown().optional(),
});

/** A config.json on its way to a ModelConfig. */
export interface Source {
  /** With the family's defaults for what the file leaves out. */
  raw: z.infer<typeof rawSchema>;
  /** The file itself. */
  given: ModelConfig['raw'];
  path: string;
}

export interface Family {
  defaults: Record<string, unknown>;
  /** Of a model that does more than text: the fields of a config.json for its text part alone. */
  textPart?(fields: Readonly<Record<string, unknown>>, path: string): Record<string, unknown>;
  normalise(source: Source): ModelConfig;
}

/** Refuses the model for a field that the decoder cannot run exactly. */
export function refuse(source: Source, field: string, allowed: string): never {
  const value = field
    .split('.')
    .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], source.raw);
  return refuseField(source.path, { field, value, allowed });
}

function checkCommon(source: Source): void {
  const { raw } = source;
  if (raw.quantization_config !== undefined && raw.quantization_config !== null) {
    refuse(source, 'quantization_config', 'none: weights in float32, bfloat16 or float16');
  }
  if ((raw.partial_rotary_factor ?? 1) !== 1) refuse(source, 'partial_rotary_factor', '1');
  for (const field of ['rope_scaling', 'rope_parameters'] as const) {
    if ((raw[field]?.partial_rotary_factor ?? 1) !== 1) refuse(source, `${field}.partial_rotary_factor`, '1');
  }
  if ((raw.use_bidirectional_attention ?? false) !== false) {
    refuse(source, 'use_bidirectional_attention', 'false: a language model sees what came before');
  }
}

/** The model as a Llama of these sizes; a family overrides what it does differently. */
export function llamaLike(
  source: Source,
  setup: {
    ropes: readonly RopeConfig[];
    layers: readonly LayerAttention[];
    /** Where the family's code reads the gate's activation. */
    activationField?: 'hidden_act' | 'hidden_activation';
  },
): ModelConfig {
  const { raw } = source;
  checkCommon(source);
  const heads = raw.num_attention_heads;
  const keyValueHeads = raw.num_key_value_heads ?? heads;
  if (heads % keyValueHeads !== 0) refuse(source, 'num_key_value_heads', `a divisor of num_attention_heads (${heads})`);
  const headSize = raw.head_dim ?? raw.hidden_size / heads;
  if (!Number.isInteger(headSize) || headSize % 2 !== 0) {
    refuse({ ...source, raw: { ...raw, head_dim: headSize } }, 'head_dim', 'an even whole number');
  }
  return {
    family: raw.model_type,
    part: 'whole',
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    layers: raw.num_hidden_layers,
    heads,
    keyValueHeads,
    headSize,
    vocabularySize: raw.vocab_size,
    maxPositions: raw.max_position_embeddings,
    activation: activationOf(source, setup.activationField ?? 'hidden_act'),
    normEpsilon: raw.rms_norm_eps,
    normScale: 'weight',
    normPlacement: 'before',
    queryKeyNorm: 'none',
    projections: 'separate',
    biases: { queryKeyValue: false, output: false, mlp: false },
    attentionScale: 1 / Math.sqrt(headSize),
    attentionSoftCap: 0,
    logitSoftCap: 0,
    embeddingScale: 1,
    layerAttention: setup.layers,
    ropes: setup.ropes,
    tiedHead: raw.tie_word_embeddings,
    raw: source.given,
  };
}

function activationOf(source: Source, field: 'hidden_act' | 'hidden_activation'): ModelConfig['activation'] {
  switch (source.raw[field]) {
    case 'silu':
    case 'swish':
      return 'silu';
    case 'gelu_pytorch_tanh':
      return 'gelu-tanh';
    default:
      return refuse(source, field, 'silu or gelu_pytorch_tanh');
  }
}

/** Every layer alike. */
export function sameLayers(source: Source, layer: LayerAttention): LayerAttention[] {
  return Array.from({ length: source.raw.num_hidden_layers }, () => layer);
}

/** Which layers slide: config.json's layer_types, or what its family's pattern says of a layer. */
export function slidingLayers(source: Source, pattern: (layer: number) => boolean): boolean[] {
  const { layer_types: types, num_hidden_layers: layers } = source.raw;
  if (types === null || types === undefined) return Array.from({ length: layers }, (_, layer) => pattern(layer));
  if (types.length !== layers) refuse(source, 'layer_types', `one entry for each of num_hidden_layers (${layers})`);
  return types.map((type) => {
    if (type !== 'full_attention' && type !== 'sliding_attention') {
      refuse(source, 'layer_types', 'full_attention and sliding_attention');
    }
    return type === 'sliding_attention';
  });
}

/** The window of a layer that slides. */
export function windowOf(source: Source): number {
  return source.raw.sliding_window ?? refuse(source, 'sliding_window', 'a number of tokens, since some layers slide');
}
