/**
 * @file A model's weights laid out for products by rows, and what sampling and scoring do alike with them: the settings
 * of their native blocks, and the head. Whoever opens them must dispose of them.
 */
import { noGrad } from '../torch/autograd.ts';
import { alias, rowLinear, softCap_ } from '../torch/ops.ts';
import { outlive, scope, type Tensor } from '../torch/tensor.ts';
import type { ModelConfig } from './config.ts';
import type { Model } from './load.ts';
import { type PackedWeights, packWeights } from './packed-weights.ts';
import { EMBEDDING, weightOf } from './weights.ts';

export interface RowWeights {
  config: ModelConfig;
  /** In which factors of products are multiplied. */
  dtype: 'float32' | 'bfloat16';
  packed: PackedWeights;
  /** [V, D], in the type on disk; its rows are read where they lie, in the model's files. */
  embedding: Tensor;
}

/**
 * Copies the weights that products take, an adapter merged into them in fp32. The model may be disposed afterwards: the embedding,
 * of which a pass reads a row a token, keeps its file mapped.
 */
export function openRowWeights(
  { config, weights, adapter = null }: Pick<Model, 'config' | 'weights'> & Partial<Pick<Model, 'adapter'>>,
  dtype: RowWeights['dtype'],
): RowWeights {
  const built = scope('lay weights out by rows', () =>
    noGrad(() => ({
      packed: packWeights({ config, weights, adapter }, dtype),
      embedding: alias(weightOf(weights, EMBEDDING)),
    })),
  );
  return { config, dtype, ...outlive(built) };
}

/** What the native blocks take of a model after its numbers of heads, in their order (native/kernels/schemas.cc). */
export function blockSettings({ config, dtype }: RowWeights) {
  return [
    config.intermediateSize,
    config.queryKeyNorm === 'whole',
    config.normEpsilon,
    config.attentionScale,
    config.attentionSoftCap,
    config.activation === 'silu' ? 'silu' : 'gelu_tanh',
    arithmeticOf(dtype),
  ] as const;
}

/** Logits of rows that the final norm made, [rows, V]. */
export function logitsByRows({ config, dtype, packed: { head } }: RowWeights, hidden_RD: Tensor): Tensor {
  const { bias, panels } = head;
  const logits_RV = rowLinear(hidden_RD, panels, config.vocabularySize, { bias, arithmetic: arithmeticOf(dtype) });
  return config.logitSoftCap > 0 ? softCap_(logits_RV, config.logitSoftCap) : logits_RV;
}

function arithmeticOf(dtype: RowWeights['dtype']): string {
  return dtype === 'bfloat16' ? 'fastest' : 'float32';
}
