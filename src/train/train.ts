/**
 * @file Training on the pairs of one iteration, step by step: the story of one call of trainPolicy. Where the pairs and
 * the reference's log-probabilities come from, and what is done with the result, is the loop's business.
 */
import { InterruptedError, TrainingError } from '../errors.ts';
import { longAfter } from '../model/rope.ts';
import type { ObjectiveOptions } from '../objective/objective.ts';
import { memoryStatistics } from '../torch/memory.ts';
import { saveCheckpoint } from './checkpoint.ts';
import type { AdamWSettings, OptimiserState } from './optimiser.ts';
import { microBatches } from './packing.ts';
import type { Policy } from './policy.ts';
import { type StepResult, trainingStep } from './step.ts';
import type { Activations } from './stream.ts';
import type { PairTree, TreeLogProbs } from './trees.ts';

export interface TrainSettings {
  objective: ObjectiveOptions;
  adamW: AdamWSettings;
  /** Learning rate of each step, from 0. */
  learningRateAt: (step: number) => number;
  maxGradientNorm: number | null;
  microBatchTokens: number;
  activations: Activations;
  checkpointEverySteps: number;
}

export interface TrainInput {
  policy: Policy;
  optimiser: OptimiserState;
  /** Trees of every step. */
  steps: readonly (readonly PairTree[])[];
  /** Steps already done (a restored checkpoint). */
  firstStep: number;
  reference: ReadonlyMap<string, TreeLogProbs>;
  /** Whether the policy starts at the reference, so that the first loss is known. */
  startsAtReference: boolean;
  /** Folder of checkpoints, and what they belong to. */
  checkpoints: { folder: string; plan: string };
  signal?: AbortSignal | undefined;
}

/** Metrics of one step under TRL's names, with units in the names where TRL has none. */
export type StepMetrics = Record<string, number>;

const FIRST_LOSS_TOLERANCE = 1e-6;

/** Trains on all steps; gives out each step's metrics once its update is made. */
export async function* trainPolicy(
  input: TrainInput,
  settings: TrainSettings,
): AsyncGenerator<{ step: number; metrics: StepMetrics }> {
  const { policy, optimiser, steps, checkpoints } = input;
  for (let step = input.firstStep; step < steps.length; step++) {
    const startedMs = performance.now();
    const learningRate = settings.learningRateAt(step);
    const result = trainingStep(policy, optimiser, {
      ...settings,
      batches: microBatches(steps[step] ?? [], settings.microBatchTokens, longAfter(policy.config)),
      reference: input.reference,
      learningRate,
    });
    if (step === 0 && input.startsAtReference) checkFirstLoss(result);
    const seconds = (performance.now() - startedMs) / 1000;
    yield { step, metrics: stepMetrics(result, { learningRate, seconds }) };

    const done = step + 1;
    const interrupted = input.signal?.aborted === true;
    if (done < steps.length && (interrupted || done % settings.checkpointEverySteps === 0)) {
      await saveCheckpoint(checkpoints.folder, { policy, optimiser, step: done, plan: checkpoints.plan });
    }
    if (interrupted && done < steps.length) {
      throw new InterruptedError(
        'INTERRUPTED',
        `Training was interrupted after step ${done} of ${steps.length}: the state is saved`,
      );
    }
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
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

/** The step's means over its pairs, and what it cost. */
export function stepMetrics(result: StepResult, cost: { learningRate: number; seconds: number }): StepMetrics {
  const { pairs } = result;
  const over = (value: (pair: StepResult['pairs'][number]) => number): number => mean(pairs.map(value));
  const responses = pairs.flatMap(({ policy, reference }) =>
    policy.response === null || reference.response === null
      ? []
      : [{ policy: policy.response, reference: reference.response }],
  );
  const memory = memoryStatistics();
  return {
    loss: result.loss,
    lr: cost.learningRate,
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
    seconds: cost.seconds,
    tokens_per_second: result.tokens / cost.seconds,
    peak_tensor_bytes: memory.peakTensorBytes,
    peak_resident_bytes: memory.peakResidentBytes,
  };
}
