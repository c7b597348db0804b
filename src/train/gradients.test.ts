/** @file One gradient, computed in different ways: padded by plain autograd, packed, with a shared prompt, in any split. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainLogits } from '../../test/support/plain-decoder.ts';
import { smallConfig, smallWeights } from '../../test/support/small-model.ts';
import type { ModelConfig } from '../model/config.ts';
import { longAfter } from '../model/rope.ts';
import type { ObjectiveOptions } from '../objective/objective.ts';
import { pairObjective } from '../objective/objective.ts';
import { randomKey, uniformAt } from '../random.ts';
import { scoreTrees } from '../score/log-probs.ts';
import { microBatches, type PackedTrees, packTrees } from '../score/packing.ts';
import { openPolicy, type Policy } from '../score/policy.ts';
import { buildTree, type PairTree, type TreeLogProbs } from '../score/trees.ts';
import { backward, gradientOf, noGrad, requireGrad } from '../torch/autograd.ts';
import { memoryStatistics } from '../torch/memory.ts';
import { clone, gather, log_softmax_int, mul_Tensor, squeeze_dim, sum_dim_IntList } from '../torch/ops.ts';
import { float32, int64, scope, toFloat32Array } from '../torch/tensor.ts';
import { withoutPause } from './pausing.ts';
import { stepGradients } from './step.ts';

/** Families, with windows, caps and rope switches small enough to act on the sequences below. */
const FAMILIES: Record<string, Record<string, unknown>> = {
  llama: {},
  'qwen3, later layers sliding': {
    model_type: 'qwen3',
    head_dim: 8,
    use_sliding_window: true,
    sliding_window: 3,
    max_window_layers: 1,
  },
  'phi3, a window, longrope that changes inside trees': {
    model_type: 'phi3',
    sliding_window: 6,
    original_max_position_embeddings: 13,
    rope_scaling: { type: 'longrope', short_factor: [1, 1.1, 1.2, 1.5], long_factor: [1, 2, 4, 8] },
  },
  'gemma2, windows and soft caps': {
    model_type: 'gemma2',
    head_dim: 8,
    query_pre_attn_scalar: 6,
    sliding_window: 5,
    attn_logit_softcapping: 2,
    final_logit_softcapping: 3,
  },
  gemma3: {
    model_type: 'gemma3_text',
    head_dim: 8,
    query_pre_attn_scalar: 8,
    sliding_window: 4,
    sliding_window_pattern: 2,
  },
  olmo2: { model_type: 'olmo2', tie_word_embeddings: false },
};

const objective: ObjectiveOptions = {
  preference: { kind: 'dpo', beta: 0.3, labelSmoothing: 0 },
  exploration: { kind: 'selm', alpha: 0.05 },
};
const ids = (key: string, length: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => Math.floor(uniformAt(randomKey(7, key), i) * smallConfig().vocabularySize));

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

/** A policy in training, its configuration, and the reference's log-probabilities of the trees. */
interface World {
  config: ModelConfig;
  policy: Policy;
  reference: Map<string, TreeLogProbs>;
}

function openWorld(fields: Record<string, unknown>): World {
  const config = smallConfig(fields);
  const policy = openPolicy({ config, weights: smallWeights(config) }, { dtype: 'float32', purpose: 'train' });
  // Another model as reference, so that the log-ratios are not zero.
  const other = openPolicy({ config, weights: smallWeights(config, 2) }, { dtype: 'float32', purpose: 'score' });
  const reference = scoreTrees(other, packTrees(trees, longAfter(config)));
  other.dispose();
  return { config, policy, reference };
}

type Gradients = Map<string, Float32Array>;

function gradientsOf(
  { policy, reference }: World,
  batches: readonly PackedTrees[],
  { activations = 'keep', terms = objective }: { activations?: 'keep' | 'recompute'; terms?: ObjectiveOptions } = {},
): { loss: number; gradients: Gradients } {
  const { loss } = withoutPause(stepGradients(policy, { batches, reference, objective: terms, activations }));
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

/** The plain way (test/support/plain-decoder.ts), with the loss's derivatives from pairObjective. */
function paddedGradients({ config, policy, reference }: World): { loss: number; gradients: Gradients } {
  return scope('padded', () => {
    const leaves = new Map(
      [...policy.masters].map(([name, master]) => [name, requireGrad(noGrad(() => clone(master)))]),
    );
    const rows = trees.flatMap((tree) =>
      tree.continuations.map((continuation) => ({ tree, continuation, ids: [...tree.promptIds, ...continuation] })),
    );
    const B = rows.length;
    const L = Math.max(...rows.map((row) => row.ids.length));
    const logits = plainLogits(
      config,
      leaves,
      rows.map((row) => row.ids),
    );
    const logProbs = log_softmax_int(logits, -1);
    const next = int64(
      rows.flatMap((row) => [...row.ids.slice(1), ...Array(L - row.ids.length + 1).fill(0)]),
      { shape: [B, L, 1] },
    );
    const scored = float32(
      rows.flatMap((row) =>
        Array.from({ length: L }, (_, i) => (i >= row.tree.promptIds.length - 1 && i < row.ids.length - 1 ? 1 : 0)),
      ),
      { shape: [B, L] },
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
function unshared(world: World): { loss: number; gradients: Gradients } {
  const flat = trees.map((tree) =>
    tree.continuations.map((continuation) => ({ ...tree, continuations: [continuation] })),
  );
  const streams = flat.map((own) => packTrees(own as unknown as PairTree[], longAfter(world.config)));
  // Join the scored ranges of a pair's own streams, so that the objective sees the pair whole.
  const joined = streams.map((stream, i) => ({
    ...stream,
    trees: [trees[i] as PairTree],
    ranges: stream.ranges.map((range, index) => ({ ...range, tree: 0, continuation: index })),
  }));
  return gradientsOf(world, joined);
}

// Gradients of fp32 sums in another order: each entry is a sum of about 1e3 products with rounding 6e-8.
const TOLERANCE = 1e-5;

describe.each(Object.entries(FAMILIES))('the gradient of a step of %s', (_, fields) => {
  let world: World;
  beforeAll(() => {
    world = openWorld(fields);
  });
  afterAll(() => world.policy.dispose());

  it('is the same padded (plain autograd over whole sequences), packed without sharing, and with shared prompts', () => {
    const padded = paddedGradients(world);
    const packed = unshared(world);
    const shared = gradientsOf(world, [packTrees(trees, longAfter(world.config))]);
    expect(padded.gradients.size).toBe(world.policy.masters.size);
    expect(Math.abs(padded.loss - shared.loss)).toBeLessThan(TOLERANCE);
    expect(Math.abs(packed.loss - shared.loss)).toBeLessThan(TOLERANCE);
    expect(relativeDifference(padded.gradients, shared.gradients)).toBeLessThan(TOLERANCE);
    expect(relativeDifference(packed.gradients, shared.gradients)).toBeLessThan(TOLERANCE);
  });

  it('has the same bits whether activations are kept or computed again', () => {
    const batches = microBatches(trees, 10_000, longAfter(world.config));
    const kept = gradientsOf(world, batches);
    expect(bits(gradientsOf(world, batches, { activations: 'recompute' }).gradients)).toBe(bits(kept.gradients));
  });
});

describe('the gradient of a step', () => {
  let world: World;
  beforeAll(() => {
    world = openWorld({});
  });
  afterAll(() => world.policy.dispose());

  it.each([
    objective,
    // Its reference points are means over the whole step: micro-batches must not have their own.
    { ...objective, preference: { kind: 'kto', beta: 0.3, chosenWeight: 1, rejectedWeight: 1.5 } },
  ] as ObjectiveOptions[])('is the same for one micro-batch, two, and one a tree: $preference.kind', (terms) => {
    const whole = gradientsOf(world, microBatches(trees, 10_000), { terms });
    for (const maxTokens of [45, 20, 1]) {
      const batches = microBatches(trees, maxTokens);
      const split = gradientsOf(world, batches, { terms });
      expect(batches.length).toBeGreaterThan(1);
      expect(Math.abs(split.loss - whole.loss)).toBeLessThan(TOLERANCE);
      expect(relativeDifference(split.gradients, whole.gradients)).toBeLessThan(TOLERANCE);
    }
  });

  it('is that of the preference and that of the exploration term, added', () => {
    const batches = microBatches(trees, 10_000);
    const of = (terms: 'all' | 'preference' | 'exploration'): Gradients => {
      withoutPause(
        stepGradients(world.policy, {
          batches,
          reference: world.reference,
          objective: { ...objective, exploration: { kind: 'selm', alpha: 0.8 } },
          activations: 'keep',
          terms,
        }),
      );
      const gradients = [...(world.policy.gradients ?? [])];
      return new Map(gradients.map(([name, gradient]) => [name, toFloat32Array(gradient)]));
    };
    const [all, preference, exploration] = [of('all'), of('preference'), of('exploration')];
    const sum = new Map(
      [...preference].map(([name, values]) => [
        name,
        values.map((value, i) => value + (exploration.get(name)?.[i] ?? Number.NaN)),
      ]),
    );
    expect(relativeDifference(all, sum)).toBeLessThan(TOLERANCE);
    // Both parts are there: neither is the whole.
    expect(relativeDifference(all, preference)).toBeGreaterThan(0.01);
    expect(relativeDifference(all, exploration)).toBeGreaterThan(0.01);
  });

  it('has the same bits in every run', () => {
    const batches = microBatches(trees, 40);
    expect(bits(gradientsOf(world, batches).gradients)).toBe(bits(gradientsOf(world, batches).gradients));
  });

  it('leaves as many live tensors as there were', () => {
    const batches = microBatches(trees, 40);
    gradientsOf(world, batches);
    const before = memoryStatistics();
    gradientsOf(world, batches);
    gradientsOf(world, batches, { activations: 'recompute' });
    const after = memoryStatistics();
    expect(after.liveTensors).toBe(before.liveTensors);
    expect(after.tensorBytes).toBe(before.tensorBytes);
  });
});
