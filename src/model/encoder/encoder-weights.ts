/**
 * @file Weights of an encoder: the matrices of its blocks, laid out once for the processor's products; and all others by
 * their names. On a processor with tiles (AMX) the layout is the engine's own, in float32 as whole numbers of three digits
 * (native/kernels/cpu/digits.h); elsewhere matrices stay as they are, mapped where they are mapped.
 */
import { packedLinear, packLinear, to_device } from '../../torch/ops.ts';
import { outlive, scope, type Tensor } from '../../torch/tensor.ts';
import { weightOf } from '../weights.ts';

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

/** Names of a block's projections, after `attention.self.`. */
export interface Projections {
  query: string;
  key: string;
  value: string;
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

/** A matrix [outputs, inputs] as `pack_linear` lays it out, with its bias in float32. */
export interface EncoderMatrix {
  packed: Tensor;
  scales: Tensor;
  bias: Tensor;
}

/** The matrices of one block. */
export interface BlockMatrices {
  query: EncoderMatrix;
  key: EncoderMatrix;
  value: EncoderMatrix;
  /** Of what attention gives. */
  attended: EncoderMatrix;
  /** Both layers of the feed-forward network. */
  inner: EncoderMatrix;
  outer: EncoderMatrix;
}

/** An encoder's weights where it computes. */
export interface EncoderWeights {
  /** A weight that is no block's matrix, in the type of the computation, by its name without the model's prefix. */
  weight(name: string): Tensor;
  blocks: readonly BlockMatrices[];
  /** Every tensor of both: its owner frees them. */
  tensors: unknown;
}

/** activation(x W^T + b), [T, outputs] of x [T, inputs]. */
export function encoderLinear(
  x: Tensor,
  { packed, scales, bias }: EncoderMatrix,
  activation: 'none' | 'gelu' = 'none',
): Tensor {
  return packedLinear(x, packed, scales, bias, { activation });
}

/** Names of a block's matrices, without `.weight` and `.bias`. */
export function blockMatrixNames(projections: Projections, layer: number): Record<keyof BlockMatrices, string> {
  const prefix = `encoder.layer.${layer}`;
  return {
    query: `${prefix}.attention.self.${projections.query}`,
    key: `${prefix}.attention.self.${projections.key}`,
    value: `${prefix}.attention.self.${projections.value}`,
    attended: `${prefix}.attention.output.dense`,
    inner: `${prefix}.intermediate.dense`,
    outer: `${prefix}.output.dense`,
  };
}

/** Brings weights, of any type, to where and what is computed in. */
export function encoderWeights(
  stored: ReadonlyMap<string, Tensor>,
  { sizes, projections }: { sizes: EncoderSizes; projections: Projections },
  computation: Computation,
): EncoderWeights {
  const { dtype, device = 'cpu' } = computation;
  const matrix = (name: string): EncoderMatrix =>
    outlive(
      scope('pack', () => {
        const [packed, scales] = packLinear(to_device(weightOf(stored, `${name}.weight`), device, dtype));
        return { packed, scales, bias: to_device(weightOf(stored, `${name}.bias`), device, 'float32', { copy: true }) };
      }),
    );
  const names = Array.from({ length: sizes.layers }, (_, layer) => blockMatrixNames(projections, layer));
  const blocks = names.map((each) => ({
    query: matrix(each.query),
    key: matrix(each.key),
    value: matrix(each.value),
    attended: matrix(each.attended),
    inner: matrix(each.inner),
    outer: matrix(each.outer),
  }));
  const isPacked = new Set(
    names.flatMap((each) => Object.values(each)).flatMap((name) => [`${name}.weight`, `${name}.bias`]),
  );
  const others = weightsFor(new Map([...stored].filter(([name]) => !isPacked.has(name))), computation);
  return { weight: (name) => weightOf(others, name), blocks, tensors: [blocks, others] };
}
