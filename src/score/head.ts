/**
 * @file From hidden states to log-probabilities, and back. The product with the vocabulary is worked through in chunks:
 * the logits of a chunk of trees are used for their log-probabilities, their pairs' loss, and their gradient, and freed.
 * [S, vocabulary] never exists whole. A tree too long for a chunk is scored first and its logits are computed again.
 */
import { headName, weightOf } from '../model/weights.ts';
import { noGrad } from '../torch/autograd.ts';
import {
  add__Tensor,
  addmm_out,
  cat,
  logProbGradient_,
  mixedLinear,
  narrow,
  softCap_,
  t,
  targetLogProbs,
} from '../torch/ops.ts';
import { float32, int64, scope, type Tensor, toFloat32Array } from '../torch/tensor.ts';
import type { PackedTrees, ScoredRange } from './packing.ts';
import type { Policy } from './policy.ts';
import type { TokenTree } from './trees.ts';

/** Most bytes of logits alive at once: large enough for efficient products, small beside a model. */
const LOGITS_BYTES = 96 * 2 ** 20;

/** Rows [begin, end) of the scored tokens, worked on together. */
interface Chunk {
  begin: number;
  end: number;
}

/** x times a matrix, transposed: as the blocks' products are computed (native/kernels/linear.cc). */
function product(x: Tensor, matrix: Tensor): Tensor {
  return mixedLinear(x, matrix, matrix);
}

function rowsPerChunk(policy: Policy): number {
  const bytesPerRow = policy.config.vocabularySize * (policy.dtype === 'float32' ? 4 : 2);
  return Math.max(1, Math.floor(LOGITS_BYTES / bytesPerRow));
}

/** Whole trees together while they fit; a tree that does not fit is a group of several chunks. */
function planChunks(batch: PackedTrees<TokenTree>, rows: number): Chunk[][] {
  const treeEnds = batch.ranges
    .filter((range, i) => batch.ranges[i + 1]?.tree !== range.tree)
    .map((range) => range.end);
  const groups: Chunk[][] = [];
  let begin = 0;
  for (const end of treeEnds) {
    const last = groups.at(-1)?.[0];
    if (last !== undefined && groups.at(-1)?.length === 1 && end - last.begin <= rows) {
      last.end = end;
    } else {
      const chunks: Chunk[] = [];
      for (let from = begin; from < end; from += rows) chunks.push({ begin: from, end: Math.min(end, from + rows) });
      groups.push(chunks);
    }
    begin = end;
  }
  return groups;
}

/** A double-precision sum of each continuation's token log-probabilities. */
function sumRanges(ranges: readonly ScoredRange[], logProbs_S: Float32Array): number[] {
  return ranges.map(({ begin, end }) => {
    let total = 0;
    for (let i = begin; i < end; i++) total += logProbs_S[i] ?? Number.NaN;
    return total;
  });
}

interface ChunkScores {
  logits: Tensor;
  normalisers: Tensor;
  logProbs: Float32Array;
}

/** Logits of hidden states, with the model's soft cap; no graph. */
export function logitsOf(policy: Policy, hidden_SD: Tensor): Tensor {
  const { logitSoftCap } = policy.config;
  const logits_SV = product(hidden_SD, weightOf(policy.compute, headName(policy.config)));
  return logitSoftCap > 0 ? softCap_(logits_SV, logitSoftCap) : logits_SV;
}

function scoreChunk(policy: Policy, hidden_SD: Tensor, targets_S: Int32Array, chunk: Chunk): ChunkScores {
  const rows = narrow(hidden_SD, 0, chunk.begin, chunk.end - chunk.begin);
  const logits = logitsOf(policy, rows);
  const [logProbs, normalisers] = targetLogProbs(
    logits,
    int64(targets_S.subarray(chunk.begin, chunk.end), { device: policy.device }),
  );
  return { logits, normalisers, logProbs: toFloat32Array(logProbs) };
}

/** Summed log-probability of every continuation of the batch, in order of `batch.ranges`. */
export function scoreRanges(policy: Policy, batch: PackedTrees<TokenTree>, hidden_SD: Tensor): number[] {
  const all = new Float32Array(batch.targets_S.length);
  // The chunks of training: the reference's numbers are then the bits that the first step will see.
  for (const chunk of planChunks(batch, rowsPerChunk(policy)).flat()) {
    scope('score', () =>
      noGrad(() => all.set(scoreChunk(policy, hidden_SD, batch.targets_S, chunk).logProbs, chunk.begin)),
    );
  }
  return sumRanges(batch.ranges, all);
}

/** What the loss says of the continuations it was shown: the derivative by each one's summed log-probability. */
export type Derivatives = (ranges: readonly ScoredRange[], logProbs: readonly number[]) => readonly number[];

/** Sees the logits of every scored row once, before they are overwritten; the tensor is only lent. */
export type Observer = (logits_CV: Tensor, targets_C: Int32Array) => void;

/**
 * Log-probabilities of every continuation and the gradient of the loss by the hidden states [S, D]; the gradient of the
 * head's weights is added to the policy's. `derivatives` is called with whole trees.
 */
export function headForwardBackward(
  policy: Policy,
  batch: PackedTrees<TokenTree>,
  options: { hidden_SD: Tensor; derivatives: Derivatives; observe?: Observer | undefined },
): Tensor {
  const name = headName(policy.config);
  const weights = weightOf(policy.compute, name);
  const weightGradient = policy.gradients?.get(name);
  const gradientChunk = (scores: ChunkScores, chunk: Chunk, coefficients: Float32Array): Tensor => {
    const targets = int64(batch.targets_S.subarray(chunk.begin, chunk.end), { device: policy.device });
    const factors = float32(Array.from(coefficients.subarray(chunk.begin, chunk.end)), { device: policy.device });
    const gradient = logProbGradient_(scores.logits, targets, scores.normalisers, factors, {
      softCap: policy.config.logitSoftCap,
    });
    const rows = narrow(options.hidden_SD, 0, chunk.begin, chunk.end - chunk.begin);
    if (weightGradient !== undefined) {
      if (policy.dtype === 'float32') addmm_out(weightGradient, t(gradient), rows, weightGradient);
      else add__Tensor(weightGradient, product(t(gradient), t(rows)));
    }
    return product(gradient, t(weights));
  };
  const observe = (scores: ChunkScores, { begin, end }: Chunk): void =>
    options.observe?.(scores.logits, batch.targets_S.subarray(begin, end));
  const coefficients_S = new Float32Array(batch.targets_S.length);
  const settle = (group: readonly Chunk[], logProbs_S: Float32Array): void => {
    const ranges = batch.ranges.filter(
      (range) => range.begin >= (group[0]?.begin ?? 0) && range.end <= (group.at(-1)?.end ?? 0),
    );
    const derivatives = options.derivatives(ranges, sumRanges(ranges, logProbs_S));
    ranges.forEach((range, i) => void coefficients_S.fill(derivatives[i] ?? 0, range.begin, range.end));
  };
  const logProbs_S = new Float32Array(batch.targets_S.length);
  const parts = planChunks(batch, rowsPerChunk(policy)).flatMap((group) => {
    const [only] = group;
    if (group.length === 1 && only !== undefined) {
      return scope('head', () => {
        const scores = scoreChunk(policy, options.hidden_SD, batch.targets_S, only);
        logProbs_S.set(scores.logProbs, only.begin);
        observe(scores, only);
        settle(group, logProbs_S);
        return [gradientChunk(scores, only, coefficients_S)];
      });
    }
    for (const chunk of group) {
      scope('head', () => {
        const scores = scoreChunk(policy, options.hidden_SD, batch.targets_S, chunk);
        logProbs_S.set(scores.logProbs, chunk.begin);
        observe(scores, chunk);
      });
    }
    settle(group, logProbs_S);
    return group.map((chunk) =>
      scope('head', () =>
        gradientChunk(scoreChunk(policy, options.hidden_SD, batch.targets_S, chunk), chunk, coefficients_S),
      ),
    );
  });
  return cat(parts);
}
