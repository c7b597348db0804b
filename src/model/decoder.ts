/**
 * @file A decoder-only transformer as plain functions over named weights. What differs between training and sampling is
 * passed in: how a product with a weight is computed, and how attention is. Families differ by ModelConfig only.
 *
 * Shapes: T tokens of a packed stream, D hidden size, H heads, K key/value heads, d head size, R = d / 2.
 */
import { add_Tensor, rmsNorm, rotary, swiglu, view } from '../torch/ops.ts';
import type { Tensor } from '../torch/tensor.ts';
import type { ModelConfig } from './config.ts';
import { blockNames, FINAL_NORM } from './weights.ts';

/** How a block reaches its weights and its neighbours. */
export interface BlockContext {
  config: ModelConfig;
  /** A vector of weights (norms). */
  vector(name: string): Tensor;
  /** x times the named matrix, transposed, plus its bias where it has one. */
  linear(x: Tensor, name: string): Tensor;
  /** Attention of rotated queries q [T, H, d] over keys and values k, v [T, K, d] of the stream and whatever came before. */
  attend(query: { q_THd: Tensor; k_TKd: Tensor; v_TKd: Tensor }, layer: number): Tensor;
  /** Cosines and sines of every token's position, [T, R]. */
  cos_TR: Tensor;
  sin_TR: Tensor;
}

/** One block: x + attention(norm(x)), then + mlp(norm(x)); [T, D] to [T, D]. */
export function decoderBlock(x_TD: Tensor, layer: number, context: BlockContext): Tensor {
  const { config, cos_TR, sin_TR } = context;
  const names = blockNames(layer);
  const tokens = x_TD.shape[0] ?? 0;
  const heads = (x: Tensor, count: number): Tensor => view(x, [tokens, count, config.headSize]);

  const normed_TD = rmsNorm(x_TD, context.vector(names.attentionNorm), config.normEpsilon);
  const q_THd = rotary(heads(context.linear(normed_TD, names.query), config.heads), cos_TR, sin_TR);
  const k_TKd = rotary(heads(context.linear(normed_TD, names.key), config.keyValueHeads), cos_TR, sin_TR);
  const v_TKd = heads(context.linear(normed_TD, names.value), config.keyValueHeads);
  const attended_THd = context.attend({ q_THd, k_TKd, v_TKd }, layer);
  const mixed_TD = context.linear(view(attended_THd, [tokens, config.heads * config.headSize]), names.output);
  const middle_TD = add_Tensor(x_TD, mixed_TD);

  const inner_TD = rmsNorm(middle_TD, context.vector(names.mlpNorm), config.normEpsilon);
  const gated_TI = swiglu(context.linear(inner_TD, names.gate), context.linear(inner_TD, names.up));
  return add_Tensor(middle_TD, context.linear(gated_TI, names.down));
}

/** The norm before the head. */
export function finalNorm(x_TD: Tensor, context: Pick<BlockContext, 'config' | 'vector'>): Tensor {
  return rmsNorm(x_TD, context.vector(FINAL_NORM), context.config.normEpsilon);
}

/** Scale of attention scores, 1 / sqrt(d). */
export function attentionScale(config: ModelConfig): number {
  return 1 / Math.sqrt(config.headSize);
}
