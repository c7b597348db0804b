/**
 * @file A model that scores trees and is not trained. Where the processor multiplies bf16 by tiles and bf16 holds the weights, its
 * products are made by rows, in float32 too: with all bits of both factors, and several times as fast as fp32 arithmetic.
 * Elsewhere it computes as a policy does.
 */
import type { ModelConfig } from '../model/config.ts';
import type { Model } from '../model/load.ts';
import { embedTokens, packedRotations } from '../model/packed.ts';
import { blockSettings, logitsByRows, openRowWeights, type RowWeights } from '../model/row-weights.ts';
import { EMBEDDING, weightOf } from '../model/weights.ts';
import { noGrad } from '../torch/autograd.ts';
import { hasTiles, narrow, rmsNorm, targetLogProbs, treeBlocks } from '../torch/ops.ts';
import { disposeAll, int64, scope, type Tensor, toFloat32Array } from '../torch/tensor.ts';
import { rowsPerChunk, sumRanges } from './head.ts';
import { byPair, scoreTrees } from './log-probs.ts';
import type { PackedTrees } from './packing.ts';
import { type ComputeDtype, openPolicy } from './policy.ts';
import type { TokenTree, TreeLogProbs } from './trees.ts';

export interface Scorer {
  config: ModelConfig;
  /** Summed log-probabilities of every continuation of every tree of a batch, by its `pairId`. */
  score(batch: PackedTrees<TokenTree>): Map<string, TreeLogProbs>;
  dispose(): void;
}

/**
 * Copies a model's weights into a scorer. In `bfloat16` factors of products are rounded to bf16; sums, and what lies between products
 * by rows, are fp32. The model may be disposed afterwards.
 */
export function openScorer(
  model: Pick<Model, 'config' | 'weights'> & Partial<Pick<Model, 'adapter'>>,
  { dtype }: { dtype: ComputeDtype },
): Scorer {
  const { config, weights, adapter = null } = model;
  const isHeld = dtype === 'bfloat16' || (adapter === null && allInBf16(model));
  if (isHeld && hasTiles(weightOf(weights, EMBEDDING))) {
    const rows = openRowWeights(model, dtype);
    return {
      config,
      score: (batch) => scoreByRows(rows, batch),
      dispose: () => disposeAll([rows.packed, rows.embedding]),
    };
  }
  const policy = openPolicy(model, { dtype, purpose: 'score' });
  return { config, score: (batch) => scoreTrees(policy, batch), dispose: () => policy.dispose() };
}

function allInBf16({ weights }: Pick<Model, 'weights'>): boolean {
  return [...weights.values()].every(({ shape, dtype }) => shape.length !== 2 || dtype === 'bfloat16');
}

function scoreByRows(weights: RowWeights, batch: PackedTrees<TokenTree>): Map<string, TreeLogProbs> {
  const logProbs_S = scope('score by rows', () =>
    noGrad(() => {
      const hidden_SD = hiddenByRows(weights, batch);
      const scored = batch.targets_S.length;
      const found = new Float32Array(scored);
      const { device } = hidden_SD;
      const most = rowsPerChunk(weights.config, 'float32', device);
      for (let first = 0; first < scored; first += most) {
        const targets = batch.targets_S.subarray(first, first + most);
        scope('head', () => {
          const logits_CV = logitsByRows(weights, narrow(hidden_SD, 0, first, targets.length));
          found.set(toFloat32Array(targetLogProbs(logits_CV, int64(targets, { device }))[0]), first);
        });
      }
      return found;
    }),
  );
  return byPair(batch, sumRanges(batch.ranges, logProbs_S));
}

/** What the head reads of the rows that predict a scored token, [S, D]. */
function hiddenByRows(rows: RowWeights, batch: PackedTrees<TokenTree>): Tensor {
  const { config, packed, embedding } = rows;
  const { device } = embedding;
  const rotation = packedRotations(config, batch, device);
  const layers = Array.from({ length: config.layers }, (_, layer) => ({
    ...rotation(layer),
    window: config.layerAttention[layer]?.window ?? 0,
  }));
  const hidden_SD = treeBlocks(
    embedTokens(embedding, int64(batch.ids_T, { device }), { config, dtype: 'float32' }),
    packed.blocks,
    layers.map(({ cos_TR }) => cos_TR),
    layers.map(({ sin_TR }) => sin_TR),
    layers.map(({ window }) => window),
    config.heads,
    config.keyValueHeads,
    ...blockSettings(rows),
    batch.segments,
    int64(batch.rows_S, { device }),
  );
  return rmsNorm(hidden_SD, packed.finalNorm, config.normEpsilon);
}
