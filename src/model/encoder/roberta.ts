/**
 * @file RoBERTa (and XLM-RoBERTa): a BERT-shaped encoder with absolute positions that begin after the padding token's id
 * (Liu et al., 2019, https://arxiv.org/abs/1907.11692).
 */

import { z } from 'zod';
import {
  add_Tensor,
  cat,
  index_select,
  narrow,
  reshape,
  scaled_dot_product_attention,
  squeeze_dim,
  transpose_int,
  unsqueeze,
} from '../../torch/ops.ts';
import { disposeAll, int64, type Tensor } from '../../torch/tensor.ts';
import { parseConfig, refuseField, textField } from '../config-file.ts';
import { type Attention, type Encoder, encoderNorm, encoderShapes, WORDS } from './encoder.ts';
import { type Computation, type EncoderSizes, encoderWeights } from './encoder-weights.ts';

/** A RoBERTa encoder. */
export interface RobertaConfig extends EncoderSizes {
  /** Rows of the table of positions. */
  positions: number;
  /** Row of a sequence's first token. */
  firstPosition: number;
  tokenTypes: number;
  /** Tokens of the longest sequence. */
  maxTokens: number;
}

const KINDS = ['roberta', 'xlm-roberta'];
const PROJECTIONS = { query: 'query', key: 'key', value: 'value' };

const positive = z.number().int().positive();
const schema = z.looseObject({
  hidden_size: positive,
  intermediate_size: positive,
  num_hidden_layers: positive,
  num_attention_heads: positive,
  vocab_size: positive,
  layer_norm_eps: z.number().positive().default(1e-12),
  hidden_act: z.string().default('gelu'),
  max_position_embeddings: positive.default(512),
  position_embedding_type: z.string().nullish(),
  type_vocab_size: positive.default(2),
  pad_token_id: z.number().int().min(0).default(1),
});

/** A parsed config.json as RobertaConfig; ModelError naming file and field for what cannot be run. */
export function normaliseRobertaConfig(value: unknown, path: string): RobertaConfig {
  const refuse = (field: string, found: unknown, allowed: string): never =>
    refuseField(path, { field, value: found, allowed });
  const kind = textField(value, 'model_type');
  if (kind === null || !KINDS.includes(kind)) refuse('model_type', kind, KINDS.join(', '));
  const raw = parseConfig(schema, value, path);
  if (raw.hidden_act !== 'gelu') refuse('hidden_act', raw.hidden_act, 'gelu');
  if ((raw.position_embedding_type ?? 'absolute') !== 'absolute')
    refuse('position_embedding_type', raw.position_embedding_type, 'absolute');
  const headSize = raw.hidden_size / raw.num_attention_heads;
  if (!Number.isInteger(headSize))
    refuse('num_attention_heads', raw.num_attention_heads, `a divisor of hidden_size (${raw.hidden_size})`);
  return {
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    layers: raw.num_hidden_layers,
    heads: raw.num_attention_heads,
    headSize,
    vocabularySize: raw.vocab_size,
    normEpsilon: raw.layer_norm_eps,
    positions: raw.max_position_embeddings,
    firstPosition: raw.pad_token_id + 1,
    tokenTypes: raw.type_vocab_size,
    maxTokens: raw.max_position_embeddings - raw.pad_token_id - 1,
  };
}

/** Every weight of the encoder with its shape, by name without the model's prefix. */
export function robertaShapes(config: RobertaConfig): Map<string, number[]> {
  const shapes = encoderShapes(config, PROJECTIONS);
  shapes.set('embeddings.position_embeddings.weight', [config.positions, config.hiddenSize]);
  shapes.set('embeddings.token_type_embeddings.weight', [config.tokenTypes, config.hiddenSize]);
  return shapes;
}

/** Opens an encoder over weights by their names without prefix, in any type. */
export function openRoberta(
  config: RobertaConfig,
  stored: ReadonlyMap<string, Tensor>,
  computation: Computation,
): Encoder & { dispose(): void } {
  const { weight, blocks, tensors } = encoderWeights(stored, { sizes: config, projections: PROJECTIONS }, computation);
  const partial = { sizes: config, weight, blocks };
  return {
    ...partial,
    embed: (ids_T, positions) => {
      const words_TD = index_select(weight(WORDS), 0, ids_T);
      const rows_T = int64(
        positions.map((position) => position + config.firstPosition),
        { device: words_TD.device },
      );
      const places_TD = index_select(weight('embeddings.position_embeddings.weight'), 0, rows_T);
      const typed_TD = add_Tensor(words_TD, narrow(weight('embeddings.token_type_embeddings.weight'), 0, 0, 1));
      return encoderNorm(partial, add_Tensor(typed_TD, places_TD), 'embeddings.LayerNorm');
    },
    attend,
    dispose: () => disposeAll(tensors),
  };
}

function attend({ q_QHd, k_THd, v_THd, stream: { sequences } }: Attention): Tensor {
  const [, heads = 0, headSize = 0] = q_QHd.shape;
  const contexts: Tensor[] = [];
  let [query, key] = [0, 0];
  for (let i = 0; i < sequences.length; i += 2) {
    const [queries = 0, keys = 0] = sequences.slice(i, i + 2);
    const ofHeads = (x: Tensor, start: number, length: number): Tensor =>
      unsqueeze(transpose_int(narrow(x, 0, start, length), 0, 1), 0);
    const context_HQd = squeeze_dim(
      scaled_dot_product_attention(
        ofHeads(q_QHd, query, queries),
        ofHeads(k_THd, key, keys),
        ofHeads(v_THd, key, keys),
      ),
      0,
    );
    contexts.push(reshape(transpose_int(context_HQd, 0, 1), [queries, heads * headSize]));
    query += queries;
    key += keys;
  }
  return cat(contexts);
}
