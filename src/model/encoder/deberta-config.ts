/**
 * @file config.json of a DeBERTa-v2 or -v3 encoder, normalised. What deberta.ts cannot run exactly (a convolution beside
 * the first block, absolute positions, factorised embeddings) is refused with the field that is the reason.
 */
import { z } from 'zod';
import { parseConfig, refuseField, textField } from '../config-file.ts';
import type { EncoderSizes } from './encoder-weights.ts';

/** A DeBERTa encoder as deberta.ts runs it. */
export interface DebertaConfig extends EncoderSizes {
  /** Rows of the table of relative embeddings are 2 * span: distances (or their buckets) from -span to span - 1. */
  span: number;
  /** Distances beyond half of `span` share buckets, logarithmically up to `maxDistance`; null: each has its own. */
  logBuckets: { maxDistance: number } | null;
  /** Content-to-position and position-to-content scores, each if it is there. */
  contentToPosition: boolean;
  positionToContent: boolean;
  /** Positions are projected by the projections of the content. */
  sharedProjections: boolean;
  /** The relative embeddings are normalised before use. */
  normRelative: boolean;
  /** Tokens that a sequence is made for: a limit of training, not of the mathematics. */
  maxTokens: number;
}

const positive = z.number().int().positive();
const schema = z.looseObject({
  hidden_size: positive,
  intermediate_size: positive,
  num_hidden_layers: positive,
  num_attention_heads: positive,
  attention_head_size: positive.nullish(),
  embedding_size: positive.nullish(),
  vocab_size: positive,
  layer_norm_eps: z.number().positive().default(1e-7),
  hidden_act: z.string().default('gelu'),
  max_position_embeddings: positive.default(512),
  max_relative_positions: z.number().int().default(-1),
  position_buckets: z.number().int().default(-1),
  relative_attention: z.boolean().default(false),
  pos_att_type: z.union([z.array(z.string()), z.string()]).nullish(),
  share_att_key: z.boolean().default(false),
  norm_rel_ebd: z.string().default('none'),
  position_biased_input: z.boolean().default(true),
  type_vocab_size: z.number().int().default(0),
  conv_kernel_size: z.number().int().nullish(),
});

/** A parsed config.json as DebertaConfig; ModelError naming file and field for what cannot be run. */
export function normaliseDebertaConfig(value: unknown, path: string): DebertaConfig {
  const refuse = (field: string, found: unknown, allowed: string): never =>
    refuseField(path, { field, value: found, allowed });
  const kind = textField(value, 'model_type');
  if (kind !== 'deberta-v2') refuse('model_type', kind, 'deberta-v2');
  const raw = parseConfig(schema, value, path);
  if (raw.hidden_act !== 'gelu') refuse('hidden_act', raw.hidden_act, 'gelu');
  if (!raw.relative_attention) refuse('relative_attention', false, 'true');
  if (raw.position_biased_input) refuse('position_biased_input', true, 'false');
  if (raw.type_vocab_size > 0) refuse('type_vocab_size', raw.type_vocab_size, '0');
  if ((raw.conv_kernel_size ?? 0) > 0) refuse('conv_kernel_size', raw.conv_kernel_size, '0 (no convolution)');
  if ((raw.embedding_size ?? raw.hidden_size) !== raw.hidden_size)
    refuse('embedding_size', raw.embedding_size, `hidden_size (${raw.hidden_size})`);
  if (raw.norm_rel_ebd !== 'none' && raw.norm_rel_ebd !== 'layer_norm')
    refuse('norm_rel_ebd', raw.norm_rel_ebd, 'none, layer_norm');
  const headSize = raw.attention_head_size ?? raw.hidden_size / raw.num_attention_heads;
  if (!Number.isInteger(headSize))
    refuse('num_attention_heads', raw.num_attention_heads, `a divisor of hidden_size (${raw.hidden_size})`);
  // Old files write the list as one text, "c2p|p2c".
  const terms = typeof raw.pos_att_type === 'string' ? raw.pos_att_type.split('|') : (raw.pos_att_type ?? []);
  const unknown = terms.find((term) => term !== 'c2p' && term !== 'p2c');
  if (unknown !== undefined) refuse('pos_att_type', raw.pos_att_type, 'a list of c2p and p2c');
  const maxDistance = raw.max_relative_positions < 1 ? raw.max_position_embeddings : raw.max_relative_positions;
  return {
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    layers: raw.num_hidden_layers,
    heads: raw.num_attention_heads,
    headSize,
    vocabularySize: raw.vocab_size,
    normEpsilon: raw.layer_norm_eps,
    span: raw.position_buckets > 0 ? raw.position_buckets : maxDistance,
    logBuckets: raw.position_buckets > 0 ? { maxDistance } : null,
    contentToPosition: terms.includes('c2p'),
    positionToContent: terms.includes('p2c'),
    sharedProjections: raw.share_att_key,
    normRelative: raw.norm_rel_ebd === 'layer_norm',
    maxTokens: raw.max_position_embeddings,
  };
}

/**
 * The bucket of a distance, odd in it: itself up to half of `span`, then logarithmic steps up to `maxDistance`. In single
 * precision like the original, whose rounding up decides at the edges (make_log_bucket_position of transformers).
 */
export function relativeBucket(config: Pick<DebertaConfig, 'span' | 'logBuckets'>, distance: number): number {
  if (config.logBuckets === null) return distance;
  const middle = Math.floor(config.span / 2);
  const length = Math.abs(distance);
  if (length <= middle) return distance;
  const log = (value: number): number => Math.fround(Math.log(Math.fround(value)));
  const share = Math.fround(log(length / middle) / log((config.logBuckets.maxDistance - 1) / middle));
  return Math.sign(distance) * (Math.ceil(Math.fround(share * (middle - 1))) + middle);
}

/** Row of the table of relative embeddings for a distance: what lies beyond the table takes its last row. */
export function relativeRow(config: Pick<DebertaConfig, 'span' | 'logBuckets'>, distance: number): number {
  return Math.min(Math.max(relativeBucket(config, distance) + config.span, 0), 2 * config.span - 1);
}
