/**
 * @file A BERT-shaped encoder (DeBERTa, RoBERTa) as plain functions over named weights: sequences on one stream without
 * padding, blocks that normalise after each addition, attention within each sequence. Families differ by their embedding
 * and by how they attend. The last block is computed for the rows that are asked for alone: a head reads few of them.
 *
 * Shapes: T tokens of the stream, D hidden size, H heads, d head size; Q queries and K keys of one sequence.
 */
import { noGrad } from '../../torch/autograd.ts';
import {
  add_Tensor,
  cat,
  gelu,
  index_select,
  layer_norm,
  linear,
  narrow,
  reshape,
  to_device,
  transpose_int,
  view,
} from '../../torch/ops.ts';
import { int64, outlive, scope, type Tensor } from '../../torch/tensor.ts';

/** Rows of the tokens of an encoder's vocabulary. */
export const WORDS = 'embeddings.word_embeddings.weight';

/** Type that an encoder computes in. */
export type EncoderDtype = 'float32' | 'bfloat16';

/** Sizes that every encoder has, in elements. */
export interface EncoderSizes {
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  headSize: number;
  vocabularySize: number;
  normEpsilon: number;
}

/** Tokens of one sequence. */
export interface EncoderSequence {
  ids: readonly number[];
  /** Place of each token, ascending, where some between were masked out. @default 0, 1, 2 ... */
  positions?: readonly number[];
}

/** What one sequence's queries attend to: queries [H, Q, d], keys and values [H, K, d]. */
export interface Attention {
  q_HQd: Tensor;
  k_HKd: Tensor;
  v_HKd: Tensor;
  /** What the encoder's `relate` said of their positions. */
  relation: Relation | null;
}

/** Rows of a table of relative embeddings for each query and key: [Q, K], from 0, and where the table is cut. */
export interface Relation {
  rows_QK: Tensor;
  /** First row of the table that occurs, and how many from there: the others need no product. */
  first: number;
  count: number;
}

/** One family of encoders, open. */
export interface Encoder {
  sizes: EncoderSizes;
  /** Names of a block's projections, after `attention.self.`. */
  projections: { query: string; key: string; value: string };
  /** A weight in the type of the computation, by its name without the model's prefix. */
  weight(name: string): Tensor;
  /** Embeddings of tokens at positions, [T, D]. */
  embed(ids_T: Tensor, positions: readonly number[]): Tensor;
  /** What attention needs to know of positions, the same in every block; null where it needs nothing. */
  relate(queryPositions: readonly number[], keyPositions: readonly number[]): Relation | null;
  /** softmax(scores) times the values, [H, Q, d]. */
  attend(attention: Attention, layer: number): Tensor;
}

/** Weights and their shapes of the parts that all families share. */
export function encoderShapes(sizes: EncoderSizes, projections: Encoder['projections']): Map<string, number[]> {
  const { hiddenSize, intermediateSize, layers, heads, headSize } = sizes;
  const shapes = new Map<string, number[]>([[WORDS, [sizes.vocabularySize, hiddenSize]]]);
  addNorm(shapes, 'embeddings.LayerNorm', hiddenSize);
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `encoder.layer.${layer}`;
    for (const name of Object.values(projections))
      addLinear(shapes, `${prefix}.attention.self.${name}`, [heads * headSize, hiddenSize]);
    addLinear(shapes, `${prefix}.attention.output.dense`, [hiddenSize, heads * headSize]);
    addNorm(shapes, `${prefix}.attention.output.LayerNorm`, hiddenSize);
    addLinear(shapes, `${prefix}.intermediate.dense`, [intermediateSize, hiddenSize]);
    addLinear(shapes, `${prefix}.output.dense`, [hiddenSize, intermediateSize]);
    addNorm(shapes, `${prefix}.output.LayerNorm`, hiddenSize);
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

/** x times the named matrix, transposed, plus its bias. */
export function encoderLinear(encoder: Pick<Encoder, 'weight'>, x: Tensor, name: string): Tensor {
  return linear(x, encoder.weight(`${name}.weight`), { bias: encoder.weight(`${name}.bias`) });
}

/** Layer normalisation with the named scale and shift. */
export function encoderNorm(encoder: Pick<Encoder, 'weight' | 'sizes'>, x: Tensor, name: string): Tensor {
  const { hiddenSize, normEpsilon } = encoder.sizes;
  const [weight, bias] = [encoder.weight(`${name}.weight`), encoder.weight(`${name}.bias`)];
  return layer_norm(x, [hiddenSize], { weight, bias, eps: normEpsilon });
}

/** How a model that scores texts computes, and where. */
export interface Computation {
  dtype: EncoderDtype;
  /** @default 'cpu' */
  device?: string | undefined;
}

/** Weights where and in what is computed: the memory that they are mapped to where it is of that type, else copies. */
export function weightsFor(
  weights: ReadonlyMap<string, Tensor>,
  { dtype, device = 'cpu' }: Computation,
): Map<string, Tensor> {
  return outlive(
    scope(
      'convert weights',
      () => new Map([...weights].map(([name, weight]) => [name, to_device(weight, device, dtype)])),
    ),
  );
}

/** Rows of the stream that one sequence owns. */
interface Span {
  start: number;
  positions: readonly number[];
}

/** Sequences one after the other on a stream, by the positions of their tokens. */
function spansOf(sequences: readonly (readonly number[])[]): Span[] {
  let start = 0;
  return sequences.map((positions) => {
    const span = { start, positions };
    start += positions.length;
    return span;
  });
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
  const spans = spansOf(sequences.map(({ ids, positions = ids.map((_, i) => i) }) => positions));
  // Of the last block only the wanted rows are computed: a stream of their own, whose queries read all keys.
  const wantedSpans = spansOf(
    spans.map(({ positions }, i) => (wanted[i] ?? []).map((index) => positions[index] ?? Number.NaN)),
  );
  const rows = spans.flatMap(({ start }, i) => (wanted[i] ?? []).map((index) => start + index));
  return noGrad(() =>
    scope('encode', () => {
      const { layers } = encoder.sizes;
      const relations = relationsOf(encoder, spans, spans);
      const lastRelations = relationsOf(encoder, wantedSpans, spans);
      const { device } = encoder.weight(WORDS);
      const ids_T = int64(
        sequences.flatMap(({ ids }) => ids),
        { device },
      );
      let x_TD = encoder.embed(
        ids_T,
        spans.flatMap(({ positions }) => positions),
      );
      for (let layer = 0; layer < layers; layer++) {
        const input_TD = x_TD;
        x_TD = scope('block', () => {
          if (layer < layers - 1)
            return encoderBlock(encoder, layer, { x_QD: input_TD, input_TD, queries: spans, keys: spans, relations });
          const x_QD = index_select(input_TD, 0, int64(rows, { device }));
          return encoderBlock(encoder, layer, {
            x_QD,
            input_TD,
            queries: wantedSpans,
            keys: spans,
            relations: lastRelations,
          });
        });
        input_TD.dispose('the next block');
      }
      return x_TD;
    }),
  );
}

/** Relations of each sequence's queries to its keys; sequences without gaps and of one length share theirs. */
function relationsOf(encoder: Encoder, queries: readonly Span[], keys: readonly Span[]): (Relation | null)[] {
  const known = new Map<string, Relation | null>();
  return keys.map((all, i) => {
    const own = queries[i]?.positions ?? [];
    const name = `${own === all.positions ? '' : own.join()}/${runLength(all.positions) ?? all.positions.join()}`;
    const relation = known.get(name) ?? encoder.relate(own, all.positions);
    known.set(name, relation);
    return relation;
  });
}

/** Length of positions 0, 1, 2 ...; null where some are left out. */
function runLength(positions: readonly number[]): number | null {
  return (positions.at(-1) ?? -1) === positions.length - 1 ? positions.length : null;
}

/** One block for the rows x [Q, D] of the stream, attending to all of the stream. */
function encoderBlock(
  encoder: Encoder,
  layer: number,
  input: {
    x_QD: Tensor;
    input_TD: Tensor;
    queries: readonly Span[];
    keys: readonly Span[];
    relations: readonly (Relation | null)[];
  },
): Tensor {
  const prefix = `encoder.layer.${layer}`;
  const { query, key, value } = encoder.projections;
  const { heads, headSize } = encoder.sizes;
  const q_QD = encoderLinear(encoder, input.x_QD, `${prefix}.attention.self.${query}`);
  const k_TD = encoderLinear(encoder, input.input_TD, `${prefix}.attention.self.${key}`);
  const v_TD = encoderLinear(encoder, input.input_TD, `${prefix}.attention.self.${value}`);
  const headsOf = (x: Tensor, { start, positions }: Span): Tensor =>
    transpose_int(view(narrow(x, 0, start, positions.length), [positions.length, heads, headSize]), 0, 1);
  const contexts = input.queries.flatMap((own, i) => {
    const all = input.keys[i];
    if (all === undefined || own.positions.length === 0) return [];
    return [
      scope('attention', () => {
        const context_HQd = encoder.attend(
          {
            q_HQd: headsOf(q_QD, own),
            k_HKd: headsOf(k_TD, all),
            v_HKd: headsOf(v_TD, all),
            relation: input.relations[i] ?? null,
          },
          layer,
        );
        return reshape(transpose_int(context_HQd, 0, 1), [own.positions.length, heads * headSize]);
      }),
    ];
  });
  const attended_QD = encoderLinear(encoder, cat(contexts), `${prefix}.attention.output.dense`);
  const middle_QD = encoderNorm(encoder, add_Tensor(attended_QD, input.x_QD), `${prefix}.attention.output.LayerNorm`);
  const inner_QI = gelu(encoderLinear(encoder, middle_QD, `${prefix}.intermediate.dense`));
  const outer_QD = encoderLinear(encoder, inner_QI, `${prefix}.output.dense`);
  return encoderNorm(encoder, add_Tensor(outer_QD, middle_QD), `${prefix}.output.LayerNorm`);
}
