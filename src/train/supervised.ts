/**
 * @file Supervised fine-tuning: the mean negative log-likelihood of the tokens that the assistant wrote. The same packed
 * streams, head, optimiser and checkpoints as preference training; only the derivatives that seed the head differ.
 */
import { longAfter } from '../model/rope.ts';
import { headForwardBackward } from '../score/head.ts';
import { microBatches, type PackedTrees } from '../score/packing.ts';
import { clearGradients, type Policy } from '../score/policy.ts';
import { type Activations, forwardBackward } from '../score/stream.ts';
import type { TokenTree } from '../score/trees.ts';
import { noGrad } from '../torch/autograd.ts';
import { argmax } from '../torch/ops.ts';
import { scope, type Tensor, toIntegers } from '../torch/tensor.ts';
import type { OptimiserState } from './optimiser.ts';
import type { Pausing } from './pausing.ts';
import { type Optimisation, runSteps, type StepsInput, type TakenStep } from './run-steps.ts';
import { optimiserStep, type UpdateSettings } from './update.ts';

export interface SupervisedInput {
  /** Micro-batches of the step's conversations. */
  batches: readonly PackedTrees<TokenTree>[];
  activations: Activations;
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

/**
 * Adds the gradient of the mean loss to the policy's gradients (which it clears first). The mean is over all scored tokens
 * of the step (`scored`), so that it does not depend on how the step is cut into micro-batches. Changes no weight.
 */
export function* supervisedGradients(
  policy: Policy,
  { batches, activations }: SupervisedInput,
  scored = scoredTokensOf(batches),
): Pausing<SupervisedResult> {
  let logProb = 0;
  let hits = 0;
  clearGradients(policy);
  for (const [index, batch] of batches.entries()) {
    if (index > 0) yield;
    const derivatives = (ranges: readonly unknown[], logProbs: readonly number[]): number[] => {
      for (const each of logProbs) logProb += each;
      return ranges.map(() => -1 / scored);
    };
    const observe = (logits_CV: Tensor, targets_C: Int32Array): void => {
      hits += countHits(logits_CV, targets_C);
    };
    forwardBackward(policy, batch, {
      activations,
      head: (hidden_SD) => ({
        gradient_SD: headForwardBackward(policy, batch, { hidden_SD, derivatives, observe }),
        result: undefined,
      }),
    });
  }
  const tokens = batches.reduce((sum, batch) => sum + batch.ids_T.length, 0);
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
    gradients: supervisedGradients(policy, options),
    items: { what: 'conversations', ids: options.batches.flatMap(({ trees }) => trees.map((tree) => tree.pairId)) },
    settings: options,
  });
}

/** Tokens of a conversation, the last one included. */
export function conversationTokens({ promptIds, continuations }: TokenTree): number {
  return continuations.reduce((sum, ids) => sum + ids.length, promptIds.length);
}

/** Trains on all steps; gives out each step's metrics, under TRL's names, once its update is made. */
export function trainSupervised(input: StepsInput<TokenTree>, settings: Optimisation): AsyncGenerator<TakenStep> {
  const { policy, optimiser, steps } = input;
  const tokensAfter = totals(steps.map((trees) => trees.reduce((sum, tree) => sum + conversationTokens(tree), 0)));
  return runSteps(input, settings, function* (trees, { step, learningRate }) {
    const batches = microBatches(trees, settings.microBatchTokens, longAfter(policy.config));
    const result = yield* supervisedStep(policy, optimiser, { ...settings, batches, learningRate });
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
