/**
 * @file config.json of a Hugging Face model directory, normalised once: the rest of the package sees ModelConfig only.
 * Old and new spellings (rope_theta + rope_scaling, rope_parameters; torch_dtype, dtype) mean the same. What this
 * decoder cannot run exactly is refused with the field that is the reason.
 */
import { z } from 'zod';
import { parseConfig, readConfigFile, refuseField, textField } from './config-file.ts';

/** Rotary positions: plain, or stretched as Llama 3.1 does (frequencies below a wavelength are divided by `factor`). */
export type RopeConfig =
  | { kind: 'default'; theta: number }
  | { kind: 'linear'; theta: number; factor: number }
  | {
      kind: 'llama3';
      theta: number;
      factor: number;
      lowFrequencyFactor: number;
      highFrequencyFactor: number;
      originalMaxPositions: number;
    };

/** A decoder-only transformer as decoder.ts runs it. Sizes in elements. */
export interface ModelConfig {
  family: 'llama';
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  /** Key and value heads (grouped queries when fewer than heads). */
  keyValueHeads: number;
  headSize: number;
  vocabularySize: number;
  maxPositions: number;
  normEpsilon: number;
  rope: RopeConfig;
  /** The head's weights are the embedding's. */
  tiedHead: boolean;
  attentionBias: boolean;
  mlpBias: boolean;
  /** config.json as it was, for saving. */
  raw: Record<string, unknown>;
}

const positive = z.number().int().positive();
const ropeSchema = z.looseObject({
  rope_theta: z.number().positive().optional(),
  rope_type: z.string().optional(),
  type: z.string().optional(),
  factor: z.number().positive().optional(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: positive.optional(),
});
const schema = z.looseObject({
  model_type: z.string(),
  hidden_size: positive,
  intermediate_size: positive,
  num_hidden_layers: positive,
  num_attention_heads: positive,
  num_key_value_heads: positive.nullish(),
  head_dim: positive.nullish(),
  vocab_size: positive,
  max_position_embeddings: positive.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  hidden_act: z.string().default('silu'),
  partial_rotary_factor: z.number().nullish(),
  sliding_window: z.number().nullish(),
  quantization_config: z.unknown().optional(),
});
type RawConfig = z.infer<typeof schema>;

const SUPPORTED = ['llama'];

function refuse(path: string, field: string, value: unknown, allowed: string): never {
  refuseField(path, { field, value, allowed });
}

function ropeOf(raw: RawConfig, path: string): RopeConfig {
  const scaling = raw.rope_parameters ?? raw.rope_scaling ?? {};
  const theta = scaling.rope_theta ?? raw.rope_theta ?? 10_000;
  const kind = scaling.rope_type ?? scaling.type ?? 'default';
  const need = (
    field: 'factor' | 'low_freq_factor' | 'high_freq_factor' | 'original_max_position_embeddings',
  ): number =>
    scaling[field] ?? refuse(path, `rope_scaling.${field}`, undefined, `a number, since rope_type is ${kind}`);
  switch (kind) {
    case 'default':
      return { kind: 'default', theta };
    case 'linear':
      return { kind: 'linear', theta, factor: need('factor') };
    case 'llama3':
      return {
        kind: 'llama3',
        theta,
        factor: need('factor'),
        lowFrequencyFactor: need('low_freq_factor'),
        highFrequencyFactor: need('high_freq_factor'),
        originalMaxPositions: need('original_max_position_embeddings'),
      };
    default:
      return refuse(path, 'rope_scaling.rope_type', kind, 'default, linear or llama3');
  }
}

/** A parsed config.json as ModelConfig; ModelError naming file and field for what cannot be run. */
export function normaliseConfig(value: unknown, path: string): ModelConfig {
  const kind = textField(value, 'model_type');
  if (kind === null || !SUPPORTED.includes(kind)) refuse(path, 'model_type', kind, SUPPORTED.join(', '));
  const raw = parseConfig(schema, value, path);
  if (raw.hidden_act !== 'silu') refuse(path, 'hidden_act', raw.hidden_act, 'silu');
  if (raw.quantization_config !== undefined && raw.quantization_config !== null) {
    refuse(path, 'quantization_config', raw.quantization_config, 'none: weights in float32, bfloat16 or float16');
  }
  if ((raw.partial_rotary_factor ?? 1) !== 1) refuse(path, 'partial_rotary_factor', raw.partial_rotary_factor, '1');
  const heads = raw.num_attention_heads;
  const keyValueHeads = raw.num_key_value_heads ?? heads;
  if (heads % keyValueHeads !== 0) {
    refuse(path, 'num_key_value_heads', keyValueHeads, `a divisor of num_attention_heads (${heads})`);
  }
  const headSize = raw.head_dim ?? raw.hidden_size / heads;
  if (!Number.isInteger(headSize) || headSize % 2 !== 0) refuse(path, 'head_dim', headSize, 'an even whole number');
  return {
    family: 'llama',
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    layers: raw.num_hidden_layers,
    heads,
    keyValueHeads,
    headSize,
    vocabularySize: raw.vocab_size,
    maxPositions: raw.max_position_embeddings,
    normEpsilon: raw.rms_norm_eps,
    rope: ropeOf(raw, path),
    tiedHead: raw.tie_word_embeddings,
    attentionBias: raw.attention_bias ?? false,
    mlpBias: raw.mlp_bias ?? false,
    raw: value as Record<string, unknown>,
  };
}

/** Reads and normalises `directory`/config.json. */
export function readModelConfig(directory: string): ModelConfig {
  const { path, value } = readConfigFile(directory);
  return normaliseConfig(value, path);
}
