/**
 * @file A model's weights laid out for products by rows: matrices packed in panels, those with the same input one after the other, so
 * that queries, keys and values are one product, and so are both inputs of the gate; and norms in fp32.
 */

import { add_Scalar, cat, narrow, packRows, to_dtype, zeros } from '../torch/ops.ts';
import { scope, type Tensor } from '../torch/tensor.ts';
import { type Adapter, mergedWeight } from './adapter/lora.ts';
import type { ModelConfig } from './config.ts';
import { biasName, blockNames, FINAL_NORM, headName, weightOf } from './weights.ts';

/** One matrix [O, I], or several one after the other. */
export interface PackedMatrix {
  /** As native `pack_rows` lays them out. */
  panels: Tensor;
  /** Biases of all, fp32; null where none has one. */
  bias: Tensor | null;
}

/** Everything but the embedding. */
export interface PackedWeights {
  /** Those of every block in the order of native/kernels/decoder_blocks.cc; null is a step that the family does not have. */
  blocks: readonly (Tensor | null)[];
  finalNorm: Tensor;
  head: PackedMatrix;
}

/** Where the weights come from. */
interface Source {
  config: ModelConfig;
  weights: ReadonlyMap<string, Tensor>;
  adapter: Adapter | null;
}

/** Packs all weights, an adapter merged into them. */
export function packWeights(source: Source, dtype: 'float32' | 'bfloat16'): PackedWeights {
  const { config } = source;
  const matrix = (parts: readonly Part[]): PackedMatrix => scope('pack', () => packed(source, parts, dtype));
  const blocks = Array.from({ length: config.layers }, (_, layer) => {
    const names = blockNames(config, layer);
    const [queryKeyValue, gateUp] = [queryKeyValueParts(source, layer), gateUpParts(source, layer)].map(matrix);
    const [output, down] = [names.output, names.down].map((name) => matrix([{ name }]));
    return [
      normOf(source, names.beforeAttention),
      ...[queryKeyValue?.panels, queryKeyValue?.bias],
      ...[normOf(source, names.queryNorm), normOf(source, names.keyNorm)],
      ...[output?.panels, output?.bias],
      ...[normOf(source, names.afterAttention), normOf(source, names.beforeMlp)],
      ...[gateUp?.panels, gateUp?.bias],
      ...[down?.panels, down?.bias],
      normOf(source, names.afterMlp),
    ].map((tensor) => tensor ?? null);
  });
  const finalNorm = normOf(source, FINAL_NORM);
  if (finalNorm === null) throw new Error('A decoder ends with a norm');
  return { blocks: blocks.flat(), finalNorm, head: matrix([{ name: headName(config) }]) };
}

/** A matrix, or some of its rows. */
interface Part {
  name: string;
  rows?: { first: number; count: number };
}

function queryKeyValueParts({ config }: Source, layer: number): Part[] {
  const { queryKeyValue: names } = blockNames(config, layer);
  if (names.kind === 'separate') return [names.query, names.key, names.value].map((name) => ({ name }));
  const [queries, keys] = [config.heads * config.headSize, config.keyValueHeads * config.headSize];
  return rowsOf(names.queryKeyValue, [queries, keys, keys]);
}

function gateUpParts({ config }: Source, layer: number): Part[] {
  const { gateUp: names } = blockNames(config, layer);
  if (names.kind === 'separate') return [names.gate, names.up].map((name) => ({ name }));
  return rowsOf(names.gateUp, [config.intermediateSize, config.intermediateSize]);
}

/** A matrix in parts of so many rows. */
function rowsOf(name: string, counts: readonly number[]): Part[] {
  return counts.map((count, i) => ({
    name,
    rows: { first: counts.slice(0, i).reduce((sum, each) => sum + each, 0), count },
  }));
}

function packed({ weights, adapter }: Source, parts: readonly Part[], dtype: 'float32' | 'bfloat16'): PackedMatrix {
  const tensors = parts.map(({ name, rows }) => someRows(mergedWeight(name, weightOf(weights, name), adapter), rows));
  // fp32 products widen bf16 weights as they read them. Joined parts need one type: an adapter widens only those it changes.
  const areAlike = tensors.every((part) => part.dtype === tensors[0]?.dtype);
  const panels = packRows(tensors.map((part) => (dtype === 'float32' && areAlike ? part : to_dtype(part, dtype))));
  return { panels, bias: biasOf(weights, parts) };
}

function someRows(tensor: Tensor, rows: Part['rows']): Tensor {
  return rows === undefined ? tensor : narrow(tensor, 0, rows.first, rows.count);
}

function joinedRows(parts: readonly Tensor[]): Tensor {
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : cat(parts);
}

function biasOf(weights: ReadonlyMap<string, Tensor>, parts: readonly Part[]): Tensor | null {
  if (parts.every(({ name }) => !weights.has(biasName(name)))) return null;
  return joinedRows(
    parts.map(({ name, rows }) => {
      const bias = weights.get(biasName(name));
      if (bias !== undefined) return to_dtype(someRows(bias, rows), 'float32', { copy: true });
      return zeros([weightOf(weights, name).shape[0] ?? 0], { device: weightOf(weights, name).device });
    }),
  );
}

/** What a norm multiplies with, fp32; null where the family has no such norm. */
function normOf({ config, weights }: Source, name: string | null): Tensor | null {
  if (name === null) return null;
  const weight = to_dtype(weightOf(weights, name), 'float32', { copy: true });
  return config.normScale === 'weight' ? weight : add_Scalar(weight, 1);
}
