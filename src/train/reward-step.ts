/**
 * @file Training of an explicit reward model: a decoder with a score on the last token of each response, on the packed
 * trees of the policy's training, so that a prompt is computed once for all of its responses. Objective: src/objective/reward.ts.
 */
import { SCORE } from '../model/classifier/decoder-classifier.ts';
import { longAfter } from '../model/rope.ts';
import { EMBEDDING, HEAD, weightOf } from '../model/weights.ts';
import { comparisonLoss, relativeMaximum } from '../objective/reward.ts';
import { microBatches, type PackedTrees, packTrees } from '../score/packing.ts';
import {
  clearGradients,
  type LoraStart,
  openPolicy,
  type Policy,
  type PolicyOptions,
  type PolicySource,
} from '../score/policy.ts';
import { openSharedPolicy } from '../score/shared-policy.ts';
import { type Activations, scoredHidden } from '../score/stream.ts';
import type { TokenIds, TokenTree } from '../score/trees.ts';
import type { Sharing } from '../shard/shards.ts';
import { ALONE } from '../torch/group.ts';
import { add__Tensor, linear, mm, t, to_dtype, zeros } from '../torch/ops.ts';
import { float32, scope, type Tensor, toFloat32Array } from '../torch/tensor.ts';
import type { OptimiserState } from './optimiser.ts';
import { backwardPasses } from './passes.ts';
import type { Pausing } from './pausing.ts';
import { type Optimisation, runSteps, type StepsInput, type TakenStep } from './run-steps.ts';
import { type SharedStep, sharedStep, shareOf, sumGradients, sumNumbers } from './share.ts';
import { optimiserStep, type UpdateSettings } from './update.ts';

/** One prompt with its responses: what was compared, and what the policy sampled, as indices into `continuations`. */
export interface RewardTree extends TokenTree {
  /** Null where no comparison is known of this prompt. */
  comparison: { chosen: number; rejected: number } | null;
  /** Draws of the policy, for optimism: equal ones stand there as often as they were drawn. */
  samples: readonly number[];
}

/** Stands behind every continuation: the packing scores what predicts it, which is the last token of the response. */
const AFTER_THE_END = 0;

/** The tree of a prompt; equal responses become one continuation. Responses have at least one token. */
export function buildRewardTree(prompt: {
  pairId: string;
  promptIds: TokenIds;
  responses: readonly TokenIds[];
  /** Indices into `responses`. */
  comparison: { chosen: number; rejected: number } | null;
  samples: readonly number[];
}): RewardTree {
  const distinct = new Map<string, number>();
  const continuations: TokenIds[] = [];
  const places = prompt.responses.map((ids) => {
    const key = ids.join(' ');
    const known = distinct.get(key) ?? continuations.push(Int32Array.from([...ids, AFTER_THE_END])) - 1;
    distinct.set(key, known);
    return known;
  });
  const at = (index: number): number => places[index] ?? 0;
  const { comparison } = prompt;
  return {
    pairId: prompt.pairId,
    promptIds: prompt.promptIds,
    continuations,
    scored: continuations.map((ids) => new Uint8Array(ids.length).fill(1, ids.length - 1)),
    comparison: comparison === null ? null : { chosen: at(comparison.chosen), rejected: at(comparison.rejected) },
    samples: prompt.samples.map(at),
  };
}

/**
 * A decoder with a score head of zeros, to be trained: every reward starts at 0. The language model's head is left out.
 * With `lora` an adapter and the score head are trained, and the decoder's weights stay as they are. With `sharing` it is this rank's
 * part, and the head is whole at every rank.
 */
export function openRewardPolicy(
  { config, weights, adapter = null }: PolicySource,
  {
    dtype,
    states,
    lora = null,
    sharing = null,
  }: Pick<PolicyOptions, 'dtype' | 'states'> & { lora?: LoraStart | null; sharing?: Sharing | null },
): Policy {
  return scope('open a reward model', () => {
    const body = new Map([...weights].filter(([name]) => name !== HEAD));
    const head = zeros([1, config.hiddenSize], { dtype: 'float32', device: weights.get(EMBEDDING)?.device });
    const own = new Map([[SCORE, head]]);
    if (sharing !== null)
      return openSharedPolicy({ config, weights: body, adapter }, { dtype, states, lora, sharing, beside: own });
    return lora === null
      ? openPolicy({ config, weights: new Map([...body, ...own]), adapter }, { dtype, states, purpose: 'train' })
      : openPolicy({ config, weights: body, adapter }, { dtype, states, purpose: 'train', lora, beside: own });
  });
}

/** Rewards of every continuation of a tree, in its order. */
export function rewardsOf(policy: Policy, tree: RewardTree): number[] {
  return scope('rewards', () => {
    const hidden_SD = scoredHidden(policy, packTrees([tree]));
    return headRewards(policy, hidden_SD);
  });
}

/** The head is small and decides alone: float32. */
function headRewards(policy: Policy, hidden_SD: Tensor): number[] {
  return Array.from(toFloat32Array(linear(to_dtype(hidden_SD, 'float32'), scoreOf(policy))));
}

/** The head's weights, fp32 [1, D]: a master of a policy that is whole; of one that ranks share, they are whole everywhere. */
function scoreOf({ masters, vectors }: Policy): Tensor {
  return masters.get(SCORE) ?? weightOf(vectors, SCORE);
}

/** What a step minimises: mean over its comparisons of -log sigma, minus alpha times the mean relative maximum. */
export interface RewardObjective {
  alpha: number;
  beta: number;
}

export interface RewardStepResult {
  /** Mean loss of the step, before its update. */
  loss: number;
  comparisonLoss: number;
  /** Mean relative maximum of the policy's samples, not multiplied by alpha. */
  relativeMaximum: number;
  /** Share of the comparisons whose chosen response has the higher reward; null without comparisons. */
  accuracy: number | null;
  margin: number | null;
  gradientNorm: number;
  tokens: number;
}

/** What the means of a step's loss are over, of the whole step. */
export interface RewardTotals {
  /** Prompts with a comparison. */
  comparisons: number;
  /** Prompts with samples. */
  explored: number;
}

function rewardTotals(trees: readonly RewardTree[]): RewardTotals {
  return {
    comparisons: trees.filter(({ comparison }) => comparison !== null).length,
    explored: trees.filter(({ samples }) => samples.length > 0).length,
  };
}

/** Adds the gradient of the step's loss to the policy's gradients (which it clears first). Changes no weight. */
export function* accumulateRewardGradients(
  policy: Policy,
  batches: readonly PackedTrees<RewardTree>[],
  { objective, activations, shared }: RewardSettings & { shared?: SharedStep | undefined },
  { comparisons, explored } = rewardTotals(batches.flatMap((batch) => batch.trees)),
): Pausing<Omit<RewardStepResult, 'gradientNorm'>> {
  const { alpha, beta } = objective;
  const sums = { comparison: 0, maximum: 0, right: 0, margin: 0 };
  clearGradients(policy);

  /** Derivative of the step's loss by each reward of a tree. */
  const derivatives = (tree: RewardTree, rewards: readonly number[]): number[] => {
    const slopes = rewards.map(() => 0);
    const add = (index: number, slope: number): void => {
      slopes[index] = (slopes[index] ?? 0) + slope;
    };
    const at = (index: number): number => rewards[index] ?? Number.NaN;
    if (tree.comparison !== null) {
      const { chosen, rejected } = tree.comparison;
      const margin = at(chosen) - at(rejected);
      const { loss, gradient } = comparisonLoss({ chosen: at(chosen), rejected: at(rejected) });
      sums.comparison += loss / comparisons;
      sums.margin += margin / comparisons;
      sums.right += margin > 0 ? 1 / comparisons : 0;
      add(chosen, gradient.chosen / comparisons);
      add(rejected, gradient.rejected / comparisons);
    }
    if (tree.samples.length > 0) {
      const { value, gradient } = relativeMaximum(tree.samples.map(at), beta);
      sums.maximum += value / explored;
      tree.samples.forEach((index, i) => void add(index, (-alpha * (gradient[i] ?? 0)) / explored));
    }
    return slopes;
  };

  yield* backwardPasses(policy, { batches, shared, activations }, (batch, { hidden_SD }) =>
    headGradient(policy, batch, { hidden_SD, derivatives }),
  );
  return {
    loss: sums.comparison - alpha * sums.maximum,
    comparisonLoss: sums.comparison,
    relativeMaximum: sums.maximum,
    accuracy: comparisons === 0 ? null : sums.right,
    margin: comparisons === 0 ? null : sums.margin,
    tokens: batches.reduce((sum, batch) => sum + batch.ids_T.length, 0),
  };
}

/** The gradient by the hidden states, [S, D]; that of the head's weights is added to the policy's. */
function headGradient(
  policy: Policy,
  batch: PackedTrees<RewardTree>,
  options: { hidden_SD: Tensor; derivatives: (tree: RewardTree, rewards: readonly number[]) => number[] },
): Tensor {
  const rewards_S = headRewards(policy, options.hidden_SD);
  const slopes: number[] = [];
  for (const tree of batch.trees) {
    const own = rewards_S.slice(slopes.length, slopes.length + tree.continuations.length);
    slopes.push(...options.derivatives(tree, own));
  }
  const slopes_S1 = float32(slopes, { shape: [slopes.length, 1], device: policy.device });
  const gradient = policy.gradients?.get(SCORE);
  if (gradient !== undefined) add__Tensor(gradient, mm(t(slopes_S1), to_dtype(options.hidden_SD, 'float32')));
  return to_dtype(mm(slopes_S1, scoreOf(policy)), policy.dtype);
}

export interface RewardSettings {
  objective: RewardObjective;
  activations: Activations;
}

interface RewardStepInput extends RewardSettings {
  /** Micro-batches of the step's prompts: of this rank's share, where ranks share the step. */
  batches: readonly PackedTrees<RewardTree>[];
  /** The ranks that share the step, and all its prompts. @default this process alone */
  shared?: SharedStep & { trees: readonly RewardTree[] };
}

/** The gradient of a step: this rank's share of it, then what the other ranks found. */
function* rewardStepGradients(policy: Policy, input: RewardStepInput): Pausing<Omit<RewardStepResult, 'gradientNorm'>> {
  const { batches, shared } = input;
  if (shared === undefined) return yield* accumulateRewardGradients(policy, batches, input);
  const totals = rewardTotals(shared.trees);
  const own = yield* accumulateRewardGradients(policy, batches, input, totals);
  // Means over the whole step, of which each rank has its part.
  const parts = [own.comparisonLoss, own.relativeMaximum, own.accuracy ?? 0, own.margin ?? 0, own.tokens];
  const found = yield* sumNumbers(shared, 'losses', parts);
  yield* sumGradients(shared, policy);
  const [comparison = Number.NaN, maximum = Number.NaN, right = Number.NaN, margin = Number.NaN, tokens = 0] = found;
  const isCompared = totals.comparisons > 0;
  return {
    loss: comparison - input.objective.alpha * maximum,
    comparisonLoss: comparison,
    relativeMaximum: maximum,
    accuracy: isCompared ? right : null,
    margin: isCompared ? margin : null,
    tokens,
  };
}

/** One optimiser step on the prompts of its micro-batches. */
export function rewardStep(
  policy: Policy,
  optimiser: OptimiserState,
  options: RewardStepInput & UpdateSettings,
): Pausing<RewardStepResult> {
  const trees = options.shared?.trees ?? options.batches.flatMap((batch) => batch.trees);
  return optimiserStep(policy, optimiser, {
    gradients: rewardStepGradients(policy, options),
    items: { what: 'prompts', ids: trees.map(({ pairId }) => pairId) },
    settings: options,
  });
}

/** Trains a reward model on all steps; gives out each step's metrics once its update is made. */
export function trainRewardModel(
  input: StepsInput<RewardTree>,
  settings: Optimisation & { objective: RewardObjective },
): AsyncGenerator<TakenStep> {
  const { policy, optimiser, group = ALONE } = input;
  const { microBatchTokens } = settings;
  const long = longAfter(policy.config);
  return runSteps(input, settings, function* (trees, { step, learningRate }) {
    const batches = microBatches(shareOf(trees, group, long), microBatchTokens, long);
    const shared = sharedStep(trees, { group, name: `step ${step + 1}`, long, microBatchTokens });
    const result = yield* rewardStep(policy, optimiser, { ...settings, batches, ...shared, learningRate });
    const { accuracy, margin } = result;
    return {
      loss: result.loss,
      grad_norm: result.gradientNorm,
      'loss/comparison': result.comparisonLoss,
      'reward/relative_maximum': result.relativeMaximum,
      ...(accuracy === null ? {} : { 'rewards/accuracies': accuracy }),
      ...(margin === null ? {} : { 'rewards/margins': margin }),
      tokens: result.tokens,
    };
  });
}
