/**
 * @file Training on the pairs of one iteration, step by step: the story of one call of trainPolicy. Where the pairs and
 * the reference's log-probabilities come from, and what is done with the result, is the loop's business.
 */
import { TrainingError } from '../errors.ts';
import { longAfter } from '../model/rope.ts';
import type { ObjectiveOptions } from '../objective/objective.ts';
import { microBatches } from '../score/packing.ts';
import type { PairTree, TreeLogProbs } from '../score/trees.ts';
import { ALONE } from '../torch/group.ts';
import { metricsBySource } from './by-source.ts';
import { type Optimisation, runSteps, type StepMetrics, type StepsInput, type TakenStep } from './run-steps.ts';
import { sharedStep, shareOf } from './share.ts';
import { type StepResult, trainingStep } from './step.ts';

export interface TrainSettings extends Optimisation {
  objective: ObjectiveOptions;
}

export interface TrainInput extends StepsInput<PairTree> {
  reference: ReadonlyMap<string, TreeLogProbs>;
  /** Whether the policy starts at the reference, so that the first loss is known. */
  startsAtReference: boolean;
}

const FIRST_LOSS_TOLERANCE = 1e-6;

/** Trains on all steps; gives out each step's metrics once its update is made. */
export function trainPolicy(input: TrainInput, settings: TrainSettings): AsyncGenerator<TakenStep> {
  const { policy, optimiser, reference, group = ALONE } = input;
  const long = longAfter(policy.config);
  return runSteps(input, settings, function* (trees, { step, learningRate }) {
    const batches = microBatches(shareOf(trees, group, long), settings.microBatchTokens, long);
    const shared = sharedStep(trees, {
      group,
      name: `step ${step + 1}`,
      long,
      microBatchTokens: settings.microBatchTokens,
    });
    const result = yield* trainingStep(policy, optimiser, { ...settings, batches, ...shared, reference, learningRate });
    if (step === 0 && input.startsAtReference) checkFirstLoss(result);
    return { ...stepMetrics(result), ...metricsBySource(trees, result.pairs) };
  });
}

/** A policy that is its own reference has a loss that is known beforehand: ln 2 for dpo. Anything else is a wrong pairing. */
function checkFirstLoss(result: StepResult): void {
  const expected = mean(result.pairs.map((pair) => pair.lossAtReference));
  if (Math.abs(result.loss - expected) <= FIRST_LOSS_TOLERANCE * Math.max(1, Math.abs(expected))) return;
  throw new TrainingError(
    'FIRST_LOSS_WRONG',
    `Cannot train: the first loss is ${result.loss}, but a policy that equals its reference has ${expected}: the reference's log-probabilities do not belong to these weights or tokens; delete them and resume`,
    { details: { loss: result.loss, expected } },
  );
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The step's means over its pairs. */
function stepMetrics(result: StepResult): StepMetrics & { tokens: number } {
  const { pairs } = result;
  const over = (value: (pair: StepResult['pairs'][number]) => number): number => mean(pairs.map(value));
  const responses = pairs.flatMap(({ policy, reference }) =>
    policy.response === null || reference.response === null
      ? []
      : [{ policy: policy.response, reference: reference.response }],
  );
  return {
    loss: result.loss,
    grad_norm: result.gradientNorm,
    'loss/preference': over((pair) => pair.objective.preferenceLoss),
    'loss/exploration': over((pair) => pair.objective.explorationLoss),
    // Mean size of the loss's derivative by a log-probability: what each term pulls with, before the weights.
    'slopes/preference': over(
      ({ objective: { gradient } }) => (Math.abs(gradient.chosen) + Math.abs(gradient.rejected)) / 2,
    ),
    'slopes/exploration': over(({ objective: { gradient } }) => Math.abs(gradient.response)),
    'rewards/chosen': over((pair) => pair.objective.rewardChosen),
    'rewards/rejected': over((pair) => pair.objective.rewardRejected),
    'rewards/margins': over((pair) => pair.objective.rewardChosen - pair.objective.rewardRejected),
    'rewards/accuracies': over((pair) => (pair.objective.rewardChosen > pair.objective.rewardRejected ? 1 : 0)),
    'logps/chosen': over((pair) => pair.policy.chosen),
    'logps/rejected': over((pair) => pair.policy.rejected),
    ...(responses.length === 0
      ? {}
      : {
          'logps/pi_response': mean(responses.map((each) => each.policy)),
          'logps/ref_response': mean(responses.map((each) => each.reference)),
        }),
    pairs: pairs.length,
    tokens: result.tokens,
  };
}
