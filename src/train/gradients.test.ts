/** @file One gradient, computed in different ways: padded by plain autograd, packed, with a shared prompt, in any split. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import { rotaryTable } from '../model/rope.ts';
import { blockNames, EMBEDDING, FINAL_NORM } from '../model/weights.ts';
import type { ObjectiveOptions } from '../objective/objective.ts';
import { pairObjective } from '../objective/objective.ts';
import { randomKey, uniformAt } from '../random.ts';
import { backward, gradientOf, noGrad, requireGrad } from '../torch/autograd.ts';
import { memoryStatistics } from '../torch/memory.ts';
import {
  add_Tensor,
  cat,
  clone,
  gather,
  index_select,
  linear,
  log_softmax_int,
  logical_not,
  masked_fill_Scalar,
  mul_Tensor,
  ones,
  repeat_interleave_self_int,
  reshape,
  rms_norm,
  scaled_dot_product_attention,
  silu,
  slice_Tensor,
  squeeze_dim,
  sub_Tensor,
  sum_dim_IntList,
  transpose_int,
  tril,
  view,
} from '../torch/ops.ts';
import { float32, int64, scope, type Tensor, toFloat32Array } from '../torch/tensor.ts';
import { microBatches, type PackedTrees, packTrees } from './packing.ts';
import { openPolicy, type Policy, weightOf } from './policy.ts';
import { scoreTrees } from './reference.ts';
import { accumulateGradients, type TreeLogProbs } from './step.ts';
import { buildTree, type PairTree } from './trees.ts';

const config = smallConfig();
const objective: ObjectiveOptions = {
  preference: { kind: 'dpo', beta: 0.3, labelSmoothing: 0 },
  exploration: { kind: 'selm', alpha: 0.05 },
};
const ids = (key: string, length: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => Math.floor(uniformAt(randomKey(7, key), i) * config.vocabularySize));

// Five pairs: y is the chosen one, the rejected one, a third text, and absent; one response is a single token.
const trees: PairTree[] = [
  buildTree({
    pairId: 'a',
    promptIds: ids('pa', 9),
    chosenIds: ids('ca', 7),
    rejectedIds: ids('ra', 5),
    responseIds: ids('ca', 7),
  }),
  buildTree({
    pairId: 'b',
    promptIds: ids('pb', 4),
    chosenIds: ids('cb', 12),
    rejectedIds: ids('rb', 3),
    responseIds: ids('rb', 3),
  }),
  buildTree({
    pairId: 'c',
    promptIds: ids('pc', 6),
    chosenIds: ids('cc', 4),
    rejectedIds: ids('rc', 8),
    responseIds: ids('yc', 6),
  }),
  buildTree({
    pairId: 'd',
    promptIds: ids('pd', 1),
    chosenIds: ids('cd', 2),
    rejectedIds: ids('rd', 1),
    responseIds: null,
  }),
  buildTree({
    pairId: 'e',
    promptIds: ids('pe', 11),
    chosenIds: ids('ce', 1),
    rejectedIds: ids('re', 10),
    responseIds: ids('ye', 2),
  }),
];

let policy: Policy;
let reference: Map<string, TreeLogProbs>;
beforeAll(() => {
  policy = openPolicy({ config, weights: smallWeights(config) }, { dtype: 'float32', purpose: 'train' });
  // Another model as reference, so that the log-ratios are not zero.
  const other = openPolicy({ config, weights: smallWeights(config, 2) }, { dtype: 'float32', purpose: 'score' });
  reference = scoreTrees(other, packTrees(trees));
  other.dispose();
});
afterAll(() => policy.dispose());

type Gradients = Map<string, Float32Array>;

function gradientsOf(
  batches: readonly PackedTrees[],
  activations: 'keep' | 'recompute' = 'keep',
): { loss: number; gradients: Gradients } {
  const { loss } = accumulateGradients(policy, { batches, reference, objective, activations });
  return {
    loss,
    gradients: new Map([...(policy.gradients ?? [])].map(([name, gradient]) => [name, toFloat32Array(gradient)])),
  };
}

/** Largest difference relative to the largest entry, over all weights. */
function relativeDifference(a: Gradients, b: Gradients): number {
  let worst = 0;
  for (const [name, values] of a) {
    const others = b.get(name) ?? new Float32Array();
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-12);
    values.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(value - (others[i] ?? Number.NaN)) / largest);
    });
  }
  return worst;
}

function bits(gradients: Gradients): string {
  return [...gradients.values()].map((values) => Buffer.from(values.buffer).toString('base64')).join();
}

/**
 * The plain way: every sequence in full on a padded batch [B, L], one graph over LibTorch's own operators, causal masks,
 * log-softmax over the whole vocabulary, and the loss's derivatives from pairObjective.
 */
function paddedGradients(): { loss: number; gradients: Gradients } {
  return scope('padded', () => {
    const leaves = new Map(
      [...policy.masters].map(([name, master]) => [name, requireGrad(noGrad(() => clone(master)))]),
    );
    const weight = (name: string): Tensor => weightOf(leaves, name);
    const rows = trees.flatMap((tree) =>
      tree.continuations.map((continuation) => ({ tree, continuation, ids: [...tree.promptIds, ...continuation] })),
    );
    const B = rows.length;
    const L = Math.max(...rows.map((row) => row.ids.length));
    const input = int64(
      rows.flatMap((row) => [...row.ids, ...Array(L - row.ids.length).fill(0)]),
      [B * L],
    );
    const { cos_PR, sin_PR } = rotaryTable(config, L);
    const { heads, keyValueHeads, headSize } = config;
    const half = headSize / 2;
    const turn = (x: Tensor): Tensor => {
      // [B, H, L, d]: halves rotated against each other.
      const a = slice_Tensor(x, { dim: 3, start: 0, end: half });
      const b = slice_Tensor(x, { dim: 3, start: half, end: headSize });
      return cat(
        [
          sub_Tensor(mul_Tensor(a, cos_PR), mul_Tensor(b, sin_PR)),
          add_Tensor(mul_Tensor(b, cos_PR), mul_Tensor(a, sin_PR)),
        ],
        { dim: 3 },
      );
    };
    const mask = masked_fill_Scalar(
      float32(Array(L * L).fill(0), [L, L]),
      logical_not(tril(ones([L, L], { dtype: 'bool' }))),
      Number.NEGATIVE_INFINITY,
    );
    let x = view(index_select(weight(EMBEDDING), 0, input), [B, L, config.hiddenSize]);
    const norm = (value: Tensor, name: string): Tensor =>
      rms_norm(value, [config.hiddenSize], { weight: weight(name), eps: config.normEpsilon });
    for (let layer = 0; layer < config.layers; layer++) {
      const names = blockNames(layer);
      const h = norm(x, names.attentionNorm);
      const split = (name: string, count: number): Tensor =>
        transpose_int(view(linear(h, weight(name)), [B, L, count, headSize]), 1, 2);
      const wide = (value: Tensor): Tensor => repeat_interleave_self_int(value, heads / keyValueHeads, { dim: 1 });
      const out = scaled_dot_product_attention(
        turn(split(names.query, heads)),
        wide(turn(split(names.key, keyValueHeads))),
        wide(split(names.value, keyValueHeads)),
        { attnMask: mask },
      );
      x = add_Tensor(x, linear(reshape(transpose_int(out, 1, 2), [B, L, heads * headSize]), weight(names.output)));
      const m = norm(x, names.mlpNorm);
      x = add_Tensor(
        x,
        linear(mul_Tensor(silu(linear(m, weight(names.gate))), linear(m, weight(names.up))), weight(names.down)),
      );
    }
    const logProbs = log_softmax_int(linear(norm(x, FINAL_NORM), weight(EMBEDDING)), -1);
    const next = int64(
      rows.flatMap((row) => [...row.ids.slice(1), ...Array(L - row.ids.length + 1).fill(0)]),
      [B, L, 1],
    );
    const scored = float32(
      rows.flatMap((row) =>
        Array.from({ length: L }, (_, i) => (i >= row.tree.promptIds.length - 1 && i < row.ids.length - 1 ? 1 : 0)),
      ),
      [B, L],
    );
    const sums = sum_dim_IntList(mul_Tensor(squeeze_dim(gather(logProbs, 2, next), 2), scored), [1]);
    const values = toFloat32Array(sums);
    const derivatives = rows.map(() => 0);
    let loss = 0;
    let at = 0;
    for (const tree of trees) {
      const pick = (source: ArrayLike<number>, from: number) => ({
        chosen: source[from + tree.chosen] ?? Number.NaN,
        rejected: source[from + tree.rejected] ?? Number.NaN,
        response: tree.response === null ? null : (source[from + tree.response] ?? Number.NaN),
      });
      const lengths = { chosen: 1, rejected: 1, response: null };
      const pair = pairObjective(
        { policy: pick(values, at), reference: pick(reference.get(tree.pairId) ?? [], 0), lengths },
        objective,
      );
      loss += pair.loss / trees.length;
      for (const [index, value] of [
        [tree.chosen, pair.gradient.chosen],
        [tree.rejected, pair.gradient.rejected],
        [tree.response ?? 0, pair.gradient.response],
      ] as const) {
        derivatives[at + index] = (derivatives[at + index] ?? 0) + value / trees.length;
      }
      at += tree.continuations.length;
    }
    backward([sums], [float32(derivatives)]);
    const gradients: Gradients = new Map();
    for (const [name, leaf] of leaves) {
      const gradient = gradientOf(leaf);
      if (gradient !== null) gradients.set(name, toFloat32Array(gradient));
    }
    return { loss, gradients };
  });
}

/** The same pairs without sharing: every continuation is a tree of its own under the same pair id, scored apart. */
function unshared(): { loss: number; gradients: Gradients } {
  const flat = trees.map((tree) =>
    tree.continuations.map((continuation) => ({ ...tree, continuations: [continuation] })),
  );
  const streams = flat.map((own) => packTrees(own as unknown as PairTree[]));
  // Join the scored ranges of a pair's own streams, so that the objective sees the pair whole.
  const joined = streams.map((stream, i) => ({
    ...stream,
    trees: [trees[i] as PairTree],
    ranges: stream.ranges.map((range, index) => ({ ...range, tree: 0, continuation: index })),
  }));
  return gradientsOf(joined);
}

// Gradients of fp32 sums in another order: each entry is a sum of about 1e3 products with rounding 6e-8.
const TOLERANCE = 1e-5;

describe('the gradient of a step', () => {
  it('is the same padded (plain autograd over whole sequences), packed without sharing, and with shared prompts', () => {
    const padded = paddedGradients();
    const packed = unshared();
    const shared = gradientsOf([packTrees(trees)]);
    expect(padded.gradients.size).toBe(policy.masters.size);
    expect(Math.abs(padded.loss - shared.loss)).toBeLessThan(TOLERANCE);
    expect(Math.abs(packed.loss - shared.loss)).toBeLessThan(TOLERANCE);
    expect(relativeDifference(padded.gradients, shared.gradients)).toBeLessThan(TOLERANCE);
    expect(relativeDifference(packed.gradients, shared.gradients)).toBeLessThan(TOLERANCE);
  });

  it('is the same for one micro-batch, two, and one a tree', () => {
    const whole = gradientsOf(microBatches(trees, 10_000));
    for (const maxTokens of [45, 20, 1]) {
      const batches = microBatches(trees, maxTokens);
      const split = gradientsOf(batches);
      expect(batches.length).toBeGreaterThan(1);
      expect(Math.abs(split.loss - whole.loss)).toBeLessThan(TOLERANCE);
      expect(relativeDifference(split.gradients, whole.gradients)).toBeLessThan(TOLERANCE);
    }
  });

  it('has the same bits whether activations are kept or computed again', () => {
    const batches = microBatches(trees, 10_000);
    expect(bits(gradientsOf(batches, 'recompute').gradients)).toBe(bits(gradientsOf(batches, 'keep').gradients));
  });

  it('has the same bits in every run', () => {
    const batches = microBatches(trees, 40);
    expect(bits(gradientsOf(batches).gradients)).toBe(bits(gradientsOf(batches).gradients));
  });

  it('leaves as many live tensors as there were', () => {
    const batches = microBatches(trees, 40);
    gradientsOf(batches);
    const before = memoryStatistics();
    gradientsOf(batches);
    gradientsOf(batches, 'recompute');
    const after = memoryStatistics();
    expect(after.liveTensors).toBe(before.liveTensors);
    expect(after.tensorBytes).toBe(before.tensorBytes);
  });
});
