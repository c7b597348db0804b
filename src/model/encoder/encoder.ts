/**
 * @file A BERT-shaped encoder (DeBERTa, RoBERTa) as plain functions over named weights: sequences on one stream without
 * padding, blocks that normalise after each addition, attention within each sequence. Families differ by their embedding
 * and by how they attend. The last block is computed for the rows that are asked for alone: a head reads few of them.
 *
 * Shapes: T tokens of the stream, Q of them that ask, D hidden size, H heads, d head size, C = H d.
 */
import { noGrad } from '../../torch/autograd.ts';
import { add_Tensor, index_select, layer_norm, view } from '../../torch/ops.ts';
import { int64, scope, type Tensor } from '../../torch/tensor.ts';
import {
  blockMatrixNames,
  type EncoderSizes,
  type EncoderWeights,
  encoderLinear,
  type Projections,
} from './encoder-weights.ts';

/** Rows of the tokens of an encoder's vocabulary. */
export const WORDS = 'embeddings.word_embeddings.weight';

/** Tokens of one sequence. */
export interface EncoderSequence {
  ids: readonly number[];
  /** Place of each token, ascending, where some between were masked out. @default 0, 1, 2 ... */
  positions?: readonly number[];
}

/** Sequences one after the other on a stream: places of the tokens that ask, and of all tokens, each sequence ascending. */
export interface Stream {
  queryPositions: readonly number[];
  keyPositions: readonly number[];
  /** How many queries and how many keys each sequence has: q0, k0, q1, k1, ... */
  sequences: readonly number[];
}

/** What attends: queries [Q, H, d], keys and values [T, H, d] of a stream. */
export interface Attention {
  q_QHd: Tensor;
  k_THd: Tensor;
  v_THd: Tensor;
  stream: Stream;
}

/** One family of encoders, open. */
export interface Encoder extends Pick<EncoderWeights, 'weight' | 'blocks'> {
  sizes: EncoderSizes;
  /** Embeddings of tokens at positions, [T, D]. */
  embed(ids_T: Tensor, positions: readonly number[]): Tensor;
  /** softmax(scores) times the values, each query within its sequence: [Q, H d]. */
  attend(attention: Attention, layer: number): Tensor;
}

/** Weights and their shapes of the parts that all families share. */
export function encoderShapes(sizes: EncoderSizes, projections: Projections): Map<string, number[]> {
  const { hiddenSize, intermediateSize, layers, heads, headSize } = sizes;
  const shapes = new Map<string, number[]>([[WORDS, [sizes.vocabularySize, hiddenSize]]]);
  addNorm(shapes, 'embeddings.LayerNorm', hiddenSize);
  for (let layer = 0; layer < layers; layer++) {
    const names = blockMatrixNames(projections, layer);
    for (const name of [names.query, names.key, names.value]) addLinear(shapes, name, [heads * headSize, hiddenSize]);
    addLinear(shapes, names.attended, [hiddenSize, heads * headSize]);
    addLinear(shapes, names.inner, [intermediateSize, hiddenSize]);
    addLinear(shapes, names.outer, [hiddenSize, intermediateSize]);
    addNorm(shapes, `encoder.layer.${layer}.attention.output.LayerNorm`, hiddenSize);
    addNorm(shapes, `encoder.layer.${layer}.output.LayerNorm`, hiddenSize);
  }
  return shapes;
}

/** A matrix [outputs, inputs] with its bias. */
export function addLinear(shapes: Map<string, number[]>, name: string, shape: readonly [number, number]): void {
  shapes.set(`${name}.weight`, [...shape]);
  shapes.set(`${name}.bias`, [shape[0]]);
}

/** A normalisation's scale and shift. */
export function addNorm(shapes: Map<string, number[]>, name: string, size: number): void {
  shapes.set(`${name}.weight`, [size]);
  shapes.set(`${name}.bias`, [size]);
}

/** Layer normalisation with the named scale and shift. */
export function encoderNorm(encoder: Pick<Encoder, 'weight' | 'sizes'>, x: Tensor, name: string): Tensor {
  const { hiddenSize, normEpsilon } = encoder.sizes;
  const [weight, bias] = [encoder.weight(`${name}.weight`), encoder.weight(`${name}.bias`)];
  return layer_norm(x, [hiddenSize], { weight, bias, eps: normEpsilon });
}

/**
 * Final hidden states of the `wanted` tokens of each sequence (indices into its ids), in order: [sum of wanted, D]. No
 * graph is recorded.
 */
export function encodeRows(
  encoder: Encoder,
  sequences: readonly EncoderSequence[],
  wanted: readonly (readonly number[])[],
): Tensor {
  const positions = sequences.map(({ ids, positions = ids.map((_, i) => i) }) => positions);
  // Of the last block only the wanted rows are computed: few queries, which read all keys.
  const wantedPositions = positions.map((all, i) => (wanted[i] ?? []).map((index) => all[index] ?? Number.NaN));
  const stream = streamOf(positions, positions);
  const lastStream = streamOf(wantedPositions, positions);
  const starts = positions.map((_, i) => positions.slice(0, i).reduce((sum, all) => sum + all.length, 0));
  const rows = starts.flatMap((start, i) => (wanted[i] ?? []).map((index) => start + index));
  return noGrad(() =>
    scope('encode', () => {
      const { layers } = encoder.sizes;
      const { device } = encoder.weight(WORDS);
      const ids_T = int64(
        sequences.flatMap(({ ids }) => ids),
        { device },
      );
      let x_TD = encoder.embed(ids_T, stream.keyPositions);
      for (let layer = 0; layer < layers; layer++) {
        const input_TD = x_TD;
        x_TD = scope('block', () => {
          if (layer < layers - 1) return encoderBlock(encoder, layer, { x_QD: input_TD, input_TD, stream });
          const x_QD = index_select(input_TD, 0, int64(rows, { device }));
          return encoderBlock(encoder, layer, { x_QD, input_TD, stream: lastStream });
        });
        input_TD.dispose('the next block');
      }
      return x_TD;
    }),
  );
}

function streamOf(queries: readonly (readonly number[])[], keys: readonly (readonly number[])[]): Stream {
  return {
    queryPositions: queries.flat(),
    keyPositions: keys.flat(),
    sequences: keys.flatMap((all, i) => [queries[i]?.length ?? 0, all.length]),
  };
}

/** One block for the rows x [Q, D] of the stream, attending to all of the stream. */
function encoderBlock(
  encoder: Encoder,
  layer: number,
  { x_QD, input_TD, stream }: { x_QD: Tensor; input_TD: Tensor; stream: Stream },
): Tensor {
  const { heads, headSize } = encoder.sizes;
  const matrices = encoder.blocks[layer];
  if (matrices === undefined) throw new Error(`No block ${layer}`);
  const prefix = `encoder.layer.${layer}`;
  const ofHeads = (x: Tensor): Tensor => view(x, [x.shape[0] ?? 0, heads, headSize]);
  const context_QC = scope('attention', () =>
    encoder.attend(
      {
        q_QHd: ofHeads(encoderLinear(x_QD, matrices.query)),
        k_THd: ofHeads(encoderLinear(input_TD, matrices.key)),
        v_THd: ofHeads(encoderLinear(input_TD, matrices.value)),
        stream,
      },
      layer,
    ),
  );
  const attended_QD = encoderLinear(context_QC, matrices.attended);
  const middle_QD = encoderNorm(encoder, add_Tensor(attended_QD, x_QD), `${prefix}.attention.output.LayerNorm`);
  const outer_QD = scope('feed forward', () =>
    encoderLinear(encoderLinear(middle_QD, matrices.inner, 'gelu'), matrices.outer),
  );
  return encoderNorm(encoder, add_Tensor(outer_QD, middle_QD), `${prefix}.output.LayerNorm`);
}
