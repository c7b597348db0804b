/** @file Answers as numbers that describe them: what the model's last hidden states hold of each, the mean over its tokens. */
import { noGrad } from '../torch/autograd.ts';
import { to_dtype } from '../torch/ops.ts';
import { scope, toFloat32Array } from '../torch/tensor.ts';
import type { PackedTrees } from './packing.ts';
import type { Policy } from './policy.ts';
import { scoredHidden } from './stream.ts';
import type { TokenTree } from './trees.ts';

/** Numbers of each continuation of every tree of a batch, as many as the model is wide, by pair. */
export function describeTrees(policy: Policy, batch: PackedTrees<TokenTree>): Map<string, Float64Array[]> {
  const width = policy.config.hiddenSize;
  const hidden_SD = scope('describe', () =>
    noGrad(() => toFloat32Array(to_dtype(scoredHidden(policy, batch), 'float32'))),
  );
  const described = new Map<string, Float64Array[]>();
  for (const { tree, begin, end } of batch.ranges) {
    const pairId = batch.trees[tree]?.pairId ?? '';
    const mean = new Float64Array(width);
    for (let row = begin; row < end; row++) {
      for (let f = 0; f < width; f++) mean[f] = (mean[f] ?? 0) + (hidden_SD[row * width + f] ?? 0) / (end - begin);
    }
    described.set(pairId, [...(described.get(pairId) ?? []), mean]);
  }
  return described;
}
