/**
 * @file Supervised fine-tuning: the mean negative log-likelihood of the tokens that the assistant wrote. The same packed
 * streams, head, optimiser and checkpoints as preference training; only the derivatives that seed the head differ.
 */
import { longAfter } from '../model/rope.ts';
import { headForwardBackward } from '../score/head.ts';
import { microBatches, type PackedTrees } from '../score/packing.ts';
import { clearGradients, type Policy } from '../score/policy.ts';
import type { Activations } from '../score/stream.ts';
import { scoredTokens, type TokenTree } from '../score/trees.ts';
import { noGrad } from '../torch/autograd.ts';
import { ALONE } from '../torch/group.ts';
import { argmax } from '../torch/ops.ts';
import { scope, type Tensor, toIntegers } from '../torch/tensor.ts';
import type { OptimiserState } from './optimiser.ts';
import { backwardPasses } from './passes.ts';
import type { Pausing } from './pausing.ts';
import { type Optimisation, runSteps, type StepsInput, type TakenStep } from './run-steps.ts';
import { type SharedStep, sharedStep, shareOf, sumGradients, sumNumbers } from './share.ts';
import { optimiserStep, type UpdateSettings } from './update.ts';

export interface SupervisedInput {
  /** Micro-batches of the step's conversations: of this rank's share, where ranks share the step. */
  batches: readonly PackedTrees<TokenTree>[];
  activations: Activations;
  /** The ranks that share the step, and all its conversations. @default this process alone */
  shared?: SharedStep & { trees: readonly TokenTree[] };
}

export interface SupervisedResult {
  /** Mean negative log-likelihood of a scored token, in nats, before the update. */
  loss: number;
  scoredTokens: number;
  /** Scored tokens that were the likeliest. */
  hits: number;
  /** Tokens that went through the model. */
  tokens: number;
}

/** The gradient of a step: this rank's share of it, then what the other ranks found. */
export function* supervisedStepGradients(policy: Policy, input: SupervisedInput): Pausing<SupervisedResult> {
  const { shared } = input;
  if (shared === undefined) return yield* supervisedGradients(policy, input);
  const scored = shared.trees.reduce(
    (sum, tree) => sum + tree.continuations.reduce((own, _, index) => own + scoredTokens(tree, index), 0),
    0,
  );
  const own = yield* supervisedGradients(policy, input, scored);
  const found = yield* sumNumbers(shared, 'losses', [own.loss, own.hits, own.tokens]);
  yield* sumGradients(shared, policy);
  const [loss = Number.NaN, hits = Number.NaN, tokens = Number.NaN] = found;
  return { loss, scoredTokens: scored, hits, tokens };
}

/**
 * Adds the gradient of the mean loss to the policy's gradients (which it clears first). The mean is over all scored tokens
 * of the step (`scored`), so that it does not depend on how the step is cut into micro-batches. Changes no weight.
 */
export function* supervisedGradients(
  policy: Policy,
  input: SupervisedInput,
  scored = scoredTokensOf(input.batches),
): Pausing<SupervisedResult> {
  let logProb = 0;
  let hits = 0;
  clearGradients(policy);
  yield* backwardPasses(policy, input, (batch, rows) => {
    const derivatives = (ranges: readonly unknown[], logProbs: readonly number[]): number[] => {
      for (const each of logProbs) logProb += each;
      return ranges.map(() => -1 / scored);
    };
    const observe = (logits_CV: Tensor, targets_C: Int32Array): void => {
      hits += countHits(logits_CV, targets_C);
    };
    return headForwardBackward(policy, batch, { rows, derivatives, observe });
  });
  const tokens = input.batches.reduce((sum, batch) => sum + batch.ids_T.length, 0);
  return { loss: -logProb / scored, scoredTokens: scored, hits, tokens };
}

function scoredTokensOf(batches: SupervisedInput['batches']): number {
  return batches.reduce((sum, batch) => sum + batch.targets_S.length, 0);
}

function countHits(logits_CV: Tensor, targets_C: Int32Array): number {
  const likeliest_C = scope('likeliest tokens', () => toIntegers(noGrad(() => argmax(logits_CV, { dim: -1 }))));
  return likeliest_C.filter((id, i) => id === targets_C[i]).length;
}

/** One optimiser step. Not finite: TrainingError names the conversations, and the weights are what they were. */
export function supervisedStep(
  policy: Policy,
  optimiser: OptimiserState,
  options: SupervisedInput & UpdateSettings,
): Pausing<SupervisedResult & { gradientNorm: number }> {
  return optimiserStep(policy, optimiser, {
    gradients: supervisedStepGradients(policy, options),
    items: {
      what: 'conversations',
      ids: (options.shared?.trees ?? options.batches.flatMap(({ trees }) => trees)).map((tree) => tree.pairId),
    },
    settings: options,
  });
}

/** Tokens of a conversation, the last one included. */
export function conversationTokens({ promptIds, continuations }: TokenTree): number {
  return continuations.reduce((sum, ids) => sum + ids.length, promptIds.length);
}

/** Trains on all steps; gives out each step's metrics, under TRL's names, once its update is made. */
export function trainSupervised(input: StepsInput<TokenTree>, settings: Optimisation): AsyncGenerator<TakenStep> {
  const { policy, optimiser, steps, group = ALONE } = input;
  const long = longAfter(policy.config);
  const tokensAfter = totals(steps.map((trees) => trees.reduce((sum, tree) => sum + conversationTokens(tree), 0)));
  return runSteps(input, settings, function* (trees, { step, learningRate }) {
    const batches = microBatches(shareOf(trees, group, long), settings.microBatchTokens, long);
    const shared = sharedStep(trees, {
      group,
      name: `step ${step + 1}`,
      long,
      microBatchTokens: settings.microBatchTokens,
    });
    const result = yield* supervisedStep(policy, optimiser, { ...settings, batches, ...shared, learningRate });
    return {
      loss: result.loss,
      grad_norm: result.gradientNorm,
      mean_token_accuracy: result.hits / result.scoredTokens,
      num_tokens: tokensAfter[step] ?? 0,
      conversations: trees.length,
      scored_tokens: result.scoredTokens,
      tokens: result.tokens,
    };
  });
}

/** Running sums: a resumed run counts on from the steps before it. */
function totals(values: readonly number[]): number[] {
  let total = 0;
  return values.map((value) => (total += value));
}

/**
 * A conversation as a tree of one branch: what comes before the first scored token is its prompt. The first token of all
 * follows nothing and cannot be scored. Null when no other is.
 */
export function buildConversationTree(
  pairId: string,
  { ids, scored }: { ids: readonly number[]; scored: Uint8Array },
): TokenTree | null {
  const first = scored.indexOf(1, 1);
  const end = scored.lastIndexOf(1) + 1;
  if (first < 0) return null;
  const mask = scored.slice(first, end);
  const tree = {
    pairId,
    promptIds: Int32Array.from(ids.slice(0, first)),
    continuations: [Int32Array.from(ids.slice(first, end))],
  };
  return mask.every((flag) => flag === 1) ? tree : { ...tree, scored: [mask] };
}
