/**
 * @file From hidden states to log-probabilities, and back. The product with the vocabulary is worked through in chunks:
 * the logits of a chunk of trees are used for their log-probabilities, their pairs' loss, and their gradient, and freed.
 * [S, vocabulary] never exists whole. A tree too long for a chunk is scored first and its logits are computed again.
 */
import type { ModelConfig } from '../model/config.ts';
import { headName, weightOf } from '../model/weights.ts';
import { noGrad } from '../torch/autograd.ts';
import { cardMemory } from '../torch/gpus.ts';
import { addProduct_, cat, logProbGradient_, mixedLinear, narrow, softCap_, t, targetLogProbs } from '../torch/ops.ts';
import { float32, scope, type Tensor, toFloat32Array } from '../torch/tensor.ts';
import type { PackedTrees, ScoredRange } from './packing.ts';
import type { ComputeDtype, Policy } from './policy.ts';
import type { ScoredRows } from './stream.ts';
import type { TokenTree } from './trees.ts';

/** Most bytes of logits alive at once on the CPU: the vocabulary is packed for each chunk, so several trees share one; small beside a model. */
export const LOGITS_BYTES = 96 * 2 ** 20;
/** On a card a share of its memory, so that trees are whole in a chunk and no logits are computed twice; and where that is not known. */
const CARD_SHARE = 1 / 32;
const UNKNOWN_CARD_BYTES = 2 ** 30;
/** More rows make a card's products no faster. */
const MOST_CARD_ROWS = 8192;

/** Rows [begin, end) of the scored tokens, whose logits are alive together. */
interface Chunk {
  begin: number;
  end: number;
}

/** Whole trees that share a chunk; or one tree that is too long for a chunk, and has several. */
interface TreeGroup extends Chunk {
  chunks: Chunk[];
}

/** The head's work on one batch: what every chunk reads, and what it fills its own rows of. */
interface HeadPass extends ScoredRows {
  policy: Policy;
  batch: PackedTrees<TokenTree>;
  /** Log-probability of each scored token; filled by `score`. */
  logProbs_S: Float32Array;
  /** Derivative of the loss by each of them; filled by `settle`. */
  slopes_S: Float32Array;
}

/** A chunk between its forward and its backward pass. */
interface ChunkLogits {
  logits_CV: Tensor;
  normalisers_C: Tensor;
}

/** x times a matrix, transposed: as the blocks' products are computed (native/kernels/cpu/matrix_product.cc). */
function product(x: Tensor, matrix: Tensor): Tensor {
  return mixedLinear(x, matrix, matrix);
}

/** Rows whose logits may be alive together on a device; a card's memory is asked for once. */
export function rowsPerChunk(
  { vocabularySize }: ModelConfig,
  dtype: ComputeDtype,
  device: string,
  cardBytes: (device: string) => number | null = cardMemory,
): number {
  const bytesPerRow = vocabularySize * (dtype === 'float32' ? 4 : 2);
  if (device === 'cpu') return Math.max(1, Math.floor(LOGITS_BYTES / bytesPerRow));
  const bytes = cardBytes(device);
  const budget = bytes === null ? UNKNOWN_CARD_BYTES : bytes * CARD_SHARE;
  return Math.min(MOST_CARD_ROWS, Math.max(1, Math.floor(budget / bytesPerRow)));
}

/** Whole trees together while they have at most `most` rows; a tree of more is a group of several chunks. */
export function planGroups(ranges: readonly ScoredRange[], most: number): TreeGroup[] {
  const treeEnds = ranges.filter((range, i) => ranges[i + 1]?.tree !== range.tree).map((range) => range.end);
  const groups: TreeGroup[] = [];
  let begin = 0;
  for (const end of treeEnds) {
    const last = groups.at(-1);
    if (last !== undefined && end - last.begin <= most) {
      last.end = end;
      last.chunks = [{ begin: last.begin, end }];
    } else {
      const chunks: Chunk[] = [];
      for (let from = begin; from < end; from += most) chunks.push({ begin: from, end: Math.min(end, from + most) });
      groups.push({ begin, end, chunks });
    }
    begin = end;
  }
  return groups;
}

function groupsOf({ config, dtype, device }: Policy, { ranges }: PackedTrees<TokenTree>): TreeGroup[] {
  return planGroups(ranges, rowsPerChunk(config, dtype, device));
}

/** A double-precision sum of each continuation's token log-probabilities. */
export function sumRanges(ranges: readonly ScoredRange[], logProbs_S: Float32Array): number[] {
  return ranges.map(({ begin, end }) => {
    let total = 0;
    for (let i = begin; i < end; i++) total += logProbs_S[i] ?? Number.NaN;
    return total;
  });
}

/** Logits of hidden states, with the model's soft cap; no graph. */
export function logitsOf(policy: Policy, hidden_SD: Tensor): Tensor {
  const { logitSoftCap } = policy.config;
  const logits_SV = product(hidden_SD, weightOf(policy.compute, headName(policy.config)));
  return logitSoftCap > 0 ? softCap_(logits_SV, logitSoftCap) : logits_SV;
}

function openPass(policy: Policy, batch: PackedTrees<TokenTree>, rows: ScoredRows): HeadPass {
  const empty = (): Float32Array => new Float32Array(batch.targets_S.length);
  return { policy, batch, ...rows, logProbs_S: empty(), slopes_S: empty() };
}

function rowsOf({ hidden_SD }: HeadPass, { begin, end }: Chunk): Tensor {
  return narrow(hidden_SD, 0, begin, end - begin);
}

function targetsOf({ targets_S }: HeadPass, { begin, end }: Chunk): Tensor {
  return narrow(targets_S, 0, begin, end - begin);
}

/** First: the chunk's logits, and from them its log-probabilities. */
function score(pass: HeadPass, chunk: Chunk): ChunkLogits {
  const logits_CV = logitsOf(pass.policy, rowsOf(pass, chunk));
  const [logProbs_C, normalisers_C] = targetLogProbs(logits_CV, targetsOf(pass, chunk));
  pass.logProbs_S.set(toFloat32Array(logProbs_C), chunk.begin);
  return { logits_CV, normalisers_C };
}

/** Then, of whole trees: the loss, by the summed log-probability of each continuation. */
function settle({ batch, logProbs_S, slopes_S }: HeadPass, group: TreeGroup, derivatives: Derivatives): void {
  const ranges = batch.ranges.filter((range) => range.begin >= group.begin && range.end <= group.end);
  const slopes = derivatives(ranges, sumRanges(ranges, logProbs_S));
  ranges.forEach((range, i) => void slopes_S.fill(slopes[i] ?? 0, range.begin, range.end));
}

/** Last: the gradient by the chunk's hidden states [C, D], written over its logits; the head's own is added to the policy's. */
function differentiate(pass: HeadPass, chunk: Chunk, { logits_CV, normalisers_C }: ChunkLogits): Tensor {
  const { policy, slopes_S } = pass;
  const slopes_C = float32(Array.from(slopes_S.subarray(chunk.begin, chunk.end)), { device: policy.device });
  const gradient_CV = logProbGradient_(logits_CV, targetsOf(pass, chunk), normalisers_C, slopes_C, {
    softCap: policy.config.logitSoftCap,
  });
  const name = headName(policy.config);
  const weightGradient = policy.gradients?.get(name);
  if (weightGradient !== undefined) addProduct_(weightGradient, t(gradient_CV), rowsOf(pass, chunk));
  return product(gradient_CV, t(weightOf(policy.compute, name)));
}

/** Summed log-probability of every continuation of the batch, in order of `batch.ranges`. */
export function scoreRanges(policy: Policy, batch: PackedTrees<TokenTree>, rows: ScoredRows): number[] {
  // The chunks of training: the reference's numbers are then the bits that the first step will see.
  const groups = groupsOf(policy, batch);
  return scope('score', () => {
    const pass = openPass(policy, batch, rows);
    for (const chunk of groups.flatMap(({ chunks }) => chunks))
      scope('score a chunk', () => noGrad(() => void score(pass, chunk)));
    return sumRanges(batch.ranges, pass.logProbs_S);
  });
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
  options: { rows: ScoredRows; derivatives: Derivatives; observe?: Observer | undefined },
): Tensor {
  const pass = openPass(policy, batch, options.rows);
  const scoreSeen = (chunk: Chunk): ChunkLogits => {
    const scored = score(pass, chunk);
    options.observe?.(scored.logits_CV, batch.targets_S.subarray(chunk.begin, chunk.end));
    return scored;
  };
  const parts = groupsOf(policy, batch).flatMap((group) => {
    const [only] = group.chunks;
    if (group.chunks.length === 1 && only !== undefined) {
      return scope('head', () => {
        const scored = scoreSeen(only);
        settle(pass, group, options.derivatives);
        return [differentiate(pass, only, scored)];
      });
    }
    // The loss needs the whole tree: its chunks are scored one after another, and their logits computed again.
    for (const chunk of group.chunks) scope('head', () => void scoreSeen(chunk));
    settle(pass, group, options.derivatives);
    return group.chunks.map((chunk) => scope('head', () => differentiate(pass, chunk, score(pass, chunk))));
  });
  return cat(parts);
}
