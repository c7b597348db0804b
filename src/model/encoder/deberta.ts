/**
 * @file DeBERTa-v2/v3: an encoder with disentangled attention (He et al., 2021, https://arxiv.org/abs/2006.03654). With
 * queries Q, keys K, and the relative embeddings projected like them to Qr and Kr, the score of i on j is
 *
 *   ( Q_i . K_j  +  Q_i . Kr[r]  +  K_j . Qr[r] ) / sqrt(3 d),    r the row of the distance i - j
 *
 * Qr and Kr depend on weights only: they are computed once, when the model is opened. Of the distances, only those that
 * a sequence has are multiplied.
 *
 * Shapes as in encoder.ts; R rows of relative embeddings that occur.
 */

import {
  add__Tensor,
  add_Scalar,
  bmm,
  contiguous,
  expand,
  gather,
  index_select,
  linear,
  mul__Scalar,
  narrow,
  softmax_int,
  sub_Tensor,
  transpose_int,
  unsqueeze,
  view,
} from '../../torch/ops.ts';
import { disposeAll, int64, outlive, scope, type Tensor } from '../../torch/tensor.ts';
import { weightOf } from '../weights.ts';
import { type DebertaConfig, relativeRow } from './deberta-config.ts';
import {
  type Attention,
  addLinear,
  addNorm,
  type Computation,
  type Encoder,
  encoderNorm,
  encoderShapes,
  type Relation,
  WORDS,
  weightsFor,
} from './encoder.ts';

const PROJECTIONS = { query: 'query_proj', key: 'key_proj', value: 'value_proj' };
const RELATIVE = 'encoder.rel_embeddings.weight';

/** Every weight of the encoder with its shape, by name without the model's prefix. */
export function debertaShapes(config: DebertaConfig): Map<string, number[]> {
  const { hiddenSize, heads, headSize } = config;
  const shapes = encoderShapes(config, PROJECTIONS);
  shapes.set(RELATIVE, [2 * config.span, hiddenSize]);
  if (config.normRelative) addNorm(shapes, 'encoder.LayerNorm', hiddenSize);
  if (!config.sharedProjections) {
    for (let layer = 0; layer < config.layers; layer++) {
      const prefix = `encoder.layer.${layer}.attention.self`;
      if (config.contentToPosition) addLinear(shapes, `${prefix}.pos_key_proj`, [heads * headSize, hiddenSize]);
      if (config.positionToContent) addLinear(shapes, `${prefix}.pos_query_proj`, [heads * headSize, hiddenSize]);
    }
  }
  return shapes;
}

/** Relative embeddings of one layer, projected: [H, d, 2 * span] each; null where that term is absent. */
interface RelativeProjections {
  keys: Tensor | null;
  queries: Tensor | null;
}

/** A DeBERTa encoder; `dispose` frees what it holds beyond the weights that it was given. */
export interface DebertaEncoder extends Encoder {
  dispose(): void;
}

/** Opens an encoder over weights by their names without prefix, in any type. */
export function openDeberta(
  config: DebertaConfig,
  stored: ReadonlyMap<string, Tensor>,
  computation: Computation,
): DebertaEncoder {
  const weights = weightsFor(stored, computation);
  const weight = (name: string): Tensor => weightOf(weights, name);
  const partial = { sizes: config, projections: PROJECTIONS, weight };
  const relative = outlive(
    scope('relative positions', () => {
      const table = weight(RELATIVE);
      const normed = config.normRelative ? encoderNorm(partial, table, 'encoder.LayerNorm') : table;
      return Array.from({ length: config.layers }, (_, layer) => projectRelative(config, { layer, normed, weight }));
    }),
  );
  return {
    ...partial,
    embed: (ids_T) => encoderNorm(partial, index_select(weight(WORDS), 0, ids_T), 'embeddings.LayerNorm'),
    relate: (queryPositions, keyPositions) =>
      relate(config, { queryPositions, keyPositions, device: weight(RELATIVE).device }),
    attend: (attention, layer) =>
      disentangledAttention(config, relative[layer] ?? { keys: null, queries: null }, attention),
    dispose: () => disposeAll([relative, weights]),
  };
}

function projectRelative(
  config: DebertaConfig,
  input: { layer: number; normed: Tensor; weight: (name: string) => Tensor },
): RelativeProjections {
  const project = (name: string): Tensor => {
    const prefix = `encoder.layer.${input.layer}.attention.self.${name}`;
    const rows = linear(input.normed, input.weight(`${prefix}.weight`), { bias: input.weight(`${prefix}.bias`) });
    const rows_RHd = view(rows, [2 * config.span, config.heads, config.headSize]);
    return contiguous(transpose_int(transpose_int(rows_RHd, 0, 1), 1, 2));
  };
  return {
    keys: config.contentToPosition ? project(config.sharedProjections ? PROJECTIONS.key : 'pos_key_proj') : null,
    queries: config.positionToContent ? project(config.sharedProjections ? PROJECTIONS.query : 'pos_query_proj') : null,
  };
}

/** Rows of the table for each pair of positions, and the part of the table in which they lie. */
function relate(
  config: DebertaConfig,
  {
    queryPositions,
    keyPositions,
    device,
  }: { queryPositions: readonly number[]; keyPositions: readonly number[]; device: string },
): Relation {
  const onDevice = (values: readonly number[]): Tensor => int64(values, { device });
  const least = (queryPositions[0] ?? 0) - (keyPositions.at(-1) ?? 0);
  const most = (queryPositions.at(-1) ?? 0) - (keyPositions[0] ?? 0);
  const rows = Array.from({ length: most - least + 1 }, (_, i) => relativeRow(config, least + i));
  const first = rows[0] ?? 0;
  return scope('relate', () => {
    const distances_QK = sub_Tensor(unsqueeze(onDevice(queryPositions), 1), unsqueeze(onDevice(keyPositions), 0));
    const places = view(add_Scalar(distances_QK, -least), [queryPositions.length * keyPositions.length]);
    const rows_QK = view(index_select(onDevice(rows.map((row) => row - first)), 0, places), distances_QK.shape);
    return { rows_QK, first, count: (rows.at(-1) ?? 0) - first + 1 };
  });
}

function disentangledAttention(config: DebertaConfig, relative: RelativeProjections, attention: Attention): Tensor {
  const { q_HQd, k_HKd, v_HKd, relation } = attention;
  if (relation === null) throw new Error('Disentangled attention without positions');
  const { rows_QK, first, count } = relation;
  const [queries = 0, keys = 0] = rows_QK.shape;
  const terms = 1 + (relative.keys === null ? 0 : 1) + (relative.queries === null ? 0 : 1);
  const scores_HQK = bmm(q_HQd, transpose_int(k_HKd, 1, 2));
  if (relative.keys !== null) {
    const byRow_HQR = bmm(q_HQd, narrow(relative.keys, 2, first, count));
    add__Tensor(scores_HQK, gather(byRow_HQR, 2, expand(rows_QK, [config.heads, queries, keys])));
  }
  if (relative.queries !== null) {
    const byRow_HKR = bmm(k_HKd, narrow(relative.queries, 2, first, count));
    const rows_HKQ = expand(transpose_int(rows_QK, 0, 1), [config.heads, keys, queries]);
    add__Tensor(scores_HQK, transpose_int(gather(byRow_HKR, 2, rows_HKQ), 1, 2));
  }
  return bmm(softmax_int(mul__Scalar(scores_HQK, 1 / Math.sqrt(terms * config.headSize)), 2), v_HKd);
}
