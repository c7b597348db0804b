/**
 * @file DeBERTa-v2/v3: an encoder with disentangled attention (He et al., 2021, https://arxiv.org/abs/2006.03654). With
 * queries Q, keys K, and the relative embeddings projected like them to Qr and Kr, the score of i on j is
 *
 *   ( Q_i . K_j  +  Q_i . Kr[r]  +  K_j . Qr[r] ) / sqrt(3 d),    r the row of the distance i - j
 *
 * Qr and Kr depend on weights only: they are computed once, when the model is opened.
 *
 * Shapes as in encoder.ts; R rows of relative embeddings.
 */

import { disentangledAttention, index_select, linear, to_device, view } from '../../torch/ops.ts';
import { disposeAll, outlive, scope, type Tensor } from '../../torch/tensor.ts';
import { weightOf } from '../weights.ts';
import { type DebertaConfig, relativeRow } from './deberta-config.ts';
import { addLinear, addNorm, type Encoder, encoderNorm, encoderShapes, type Stream, WORDS } from './encoder.ts';
import { type Computation, encoderWeights } from './encoder-weights.ts';

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

/** Relative embeddings of one layer, projected: [2 * span, H, d] each; null where that term is absent. */
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
  const { weight, blocks, tensors } = encoderWeights(stored, { sizes: config, projections: PROJECTIONS }, computation);
  const partial = { sizes: config, weight, blocks };
  const relative = outlive(
    scope('relative positions', () => {
      const table = weight(RELATIVE);
      const normed = config.normRelative ? encoderNorm(partial, table, 'encoder.LayerNorm') : table;
      const plain = (name: string): Tensor => to_device(weightOf(stored, name), normed.device, normed.dtype);
      return Array.from({ length: config.layers }, (_, layer) =>
        scope('project', () => projectRelative(config, { layer, normed, weight: plain })),
      );
    }),
  );
  const rowsFor = rowsByDistance(config);
  return {
    ...partial,
    embed: (ids_T) => encoderNorm(partial, index_select(weight(WORDS), 0, ids_T), 'embeddings.LayerNorm'),
    attend: ({ q_QHd, k_THd, v_THd, stream }, layer) => {
      const { keys, queries } = relative[layer] ?? { keys: null, queries: null };
      const { queryPositions, keyPositions, sequences } = stream;
      return disentangledAttention(
        q_QHd,
        k_THd,
        v_THd,
        keys,
        queries,
        rowsFor(stream),
        queryPositions,
        keyPositions,
        sequences,
      );
    },
    dispose: () => disposeAll([relative, tensors]),
  };
}

function projectRelative(
  config: DebertaConfig,
  input: { layer: number; normed: Tensor; weight: (name: string) => Tensor },
): RelativeProjections {
  const project = (name: string): Tensor => {
    const prefix = `encoder.layer.${input.layer}.attention.self.${name}`;
    const rows = linear(input.normed, input.weight(`${prefix}.weight`), { bias: input.weight(`${prefix}.bias`) });
    return view(rows, [2 * config.span, config.heads, config.headSize]);
  };
  return {
    keys: config.contentToPosition ? project(config.sharedProjections ? PROJECTIONS.key : 'pos_key_proj') : null,
    queries: config.positionToContent ? project(config.sharedProjections ? PROJECTIONS.query : 'pos_query_proj') : null,
  };
}

/** Rows of the table for each distance between two tokens of a stream, from the least to the greatest; known for the last stream. */
function rowsByDistance(config: DebertaConfig): (stream: Stream) => readonly number[] {
  let known: { stream: Stream; rows: readonly number[] } | null = null;
  return (stream) => {
    if (known?.stream !== stream) {
      const most = stream.keyPositions.reduce((largest, position) => Math.max(largest, position), 0);
      const rows = Array.from({ length: 2 * most + 1 }, (_, i) => relativeRow(config, i - most));
      known = { stream, rows };
    }
    return known.rows;
  };
}
