/**
 * @file A decoder-only transformer as plain functions over named weights. What differs between training and sampling is
 * passed in: how a product with a weight is computed, and how attention is. Families differ by ModelConfig only.
 *
 * Shapes: T tokens of a packed stream, D hidden size, H heads, K key/value heads, d head size, R = d / 2, I inner size.
 */
import {
  add_Scalar,
  add_Tensor,
  geglu,
  index_select,
  mul_Scalar,
  narrow,
  rmsNorm,
  rotary,
  swiglu,
  view,
} from '../torch/ops.ts';
import type { Tensor } from '../torch/tensor.ts';
import type { ModelConfig } from './config.ts';
import type { Rotation } from './rope.ts';
import { type BlockNames, blockNames, FINAL_NORM } from './weights.ts';

/** How a block reaches its weights and its neighbours. */
export interface BlockContext {
  config: ModelConfig;
  /** A vector of weights (norms). */
  vector(name: string): Tensor;
  /** x times the named matrix, transposed, plus its bias where it has one. */
  linear(x: Tensor, name: string): Tensor;
  /** Several such products of the same x, by the keys of their names. */
  linears<K extends string>(x: Tensor, names: Record<K, string>): Record<K, Tensor>;
  /** Attention of rotated queries q [T, H, d] over keys and values k, v [T, K, d] of the stream and whatever came before. */
  attend(query: QueryKeyValue, layer: number): Tensor;
  /** Cosines and sines of every token's position in a layer, [T, R]. */
  rotation(layer: number): Rotation;
}

/** The same keys with other values. */
export function mapValues<K extends string, A, B>(values: Record<K, A>, change: (value: A) => B): Record<K, B> {
  // Object.fromEntries does not know which keys it was given.
  return Object.fromEntries(Object.entries<A>(values).map(([key, value]) => [key, change(value)])) as Record<K, B>;
}

export interface QueryKeyValue {
  q_THd: Tensor;
  k_TKd: Tensor;
  v_TKd: Tensor;
}

/**
 * One block: x + attention(x), then + mlp(x), with norms where the family has them; [T, D] to [T, D]. Of a last block only
 * the rows [S] that are read need be computed past attention: [T, D] to [S, D].
 */
export function decoderBlock(x_TD: Tensor, layer: number, context: BlockContext, rows_S?: Tensor): Tensor {
  const names = blockNames(context.config, layer);
  const normed = (x: Tensor, name: string | null): Tensor => (name === null ? x : norm(x, name, context));

  const attended_TD = attention(normed(x_TD, names.beforeAttention), { names, layer, context, rows_S });
  const middle_TD = add_Tensor(rowsOf(x_TD, rows_S), normed(attended_TD, names.afterAttention));

  const inner_TD = mlp(normed(middle_TD, names.beforeMlp), names, context);
  return add_Tensor(middle_TD, normed(inner_TD, names.afterMlp));
}

function attention(
  x_TD: Tensor,
  {
    names,
    layer,
    context,
    rows_S,
  }: { names: BlockNames; layer: number; context: BlockContext; rows_S: Tensor | undefined },
): Tensor {
  const { config } = context;
  const { cos_TR, sin_TR } = context.rotation(layer);
  const { query, key, value } = projections(x_TD, names, context);
  const query_THd = normedHeads(query, { heads: config.heads, name: names.queryNorm, context });
  const key_TKd = normedHeads(key, { heads: config.keyValueHeads, name: names.keyNorm, context });
  const attended_THd = context.attend(
    {
      q_THd: rotary(query_THd, cos_TR, sin_TR),
      k_TKd: rotary(key_TKd, cos_TR, sin_TR),
      v_TKd: asHeads(value, config.keyValueHeads, config),
    },
    layer,
  );
  const attended_SHd = rowsOf(attended_THd, rows_S);
  return context.linear(view(attended_SHd, [tokensOf(attended_SHd), config.heads * config.headSize]), names.output);
}

/** The rows that are wanted; all where none are named. */
function rowsOf(x: Tensor, rows_S: Tensor | undefined): Tensor {
  return rows_S === undefined ? x : index_select(x, 0, rows_S);
}

/** Queries [T, H d], keys and values [T, K d]: products of their own, or parts of one. */
function projections(
  x_TD: Tensor,
  { queryKeyValue: names }: BlockNames,
  { config, linear, linears }: BlockContext,
): { query: Tensor; key: Tensor; value: Tensor } {
  if (names.kind === 'separate') {
    const { query, key, value } = names;
    return linears(x_TD, { query, key, value });
  }
  const all = linear(x_TD, names.queryKeyValue);
  const queries = config.heads * config.headSize;
  const keys = config.keyValueHeads * config.headSize;
  return {
    query: narrow(all, 1, 0, queries),
    key: narrow(all, 1, queries, keys),
    value: narrow(all, 1, queries + keys, keys),
  };
}

/** Queries or keys by heads, normed where the family norms them: as a whole, or head by head. */
function normedHeads(
  x: Tensor,
  { heads, name, context }: { heads: number; name: string | null; context: BlockContext },
): Tensor {
  const { config } = context;
  if (name === null) return asHeads(x, heads, config);
  if (config.queryKeyNorm === 'whole') return asHeads(norm(x, name, context), heads, config);
  return norm(asHeads(x, heads, config), name, context);
}

function mlp(x_TD: Tensor, names: BlockNames, context: BlockContext): Tensor {
  const { config, linear } = context;
  const { gate, up } = gates(x_TD, names, context);
  switch (config.activation) {
    case 'silu':
      return linear(swiglu(gate, up), names.down);
    case 'gelu-tanh':
      return linear(geglu(gate, up), names.down);
  }
}

/** The two inputs of the gate, [T, I] each. */
function gates(
  x_TD: Tensor,
  { gateUp: names }: BlockNames,
  { config, linear, linears }: BlockContext,
): { gate: Tensor; up: Tensor } {
  if (names.kind === 'separate') return linears(x_TD, { gate: names.gate, up: names.up });
  const both = linear(x_TD, names.gateUp);
  const size = config.intermediateSize;
  return { gate: narrow(both, 1, 0, size), up: narrow(both, 1, size, size) };
}

function norm(x: Tensor, name: string, { config, vector }: Pick<BlockContext, 'config' | 'vector'>): Tensor {
  const weight = vector(name);
  return rmsNorm(x, config.normScale === 'weight' ? weight : add_Scalar(weight, 1), config.normEpsilon);
}

function tokensOf(x: Tensor): number {
  return x.shape[0] ?? 0;
}

function asHeads(x: Tensor, heads: number, config: ModelConfig): Tensor {
  return view(x, [tokensOf(x), heads, config.headSize]);
}

/** Rows of the embedding as the first block sees them. */
export function scaledEmbedding(x_TD: Tensor, config: ModelConfig): Tensor {
  return config.embeddingScale === 1 ? x_TD : mul_Scalar(x_TD, config.embeddingScale);
}

/** The norm before the head. */
export function finalNorm(x_TD: Tensor, context: Pick<BlockContext, 'config' | 'vector'>): Tensor {
  return norm(x_TD, FINAL_NORM, context);
}

/** What the attention kernels are told of a layer. */
export function attentionRule(config: ModelConfig, layer: number): { scale: number; window: number; softCap: number } {
  return {
    scale: config.attentionScale,
    window: config.layerAttention[layer]?.window ?? 0,
    softCap: config.attentionSoftCap,
  };
}
