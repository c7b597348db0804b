/**
 * @file The loss of one pair and its derivative by each policy log-probability: preference loss plus exploration term.
 * The training step seeds its backward pass with the derivatives. Pure float64; the mean over a batch, and adding up
 * the derivatives of a response that is also the chosen or rejected one, are the caller's.
 */
import { TrainingError } from '../errors.ts';
import { type Exploration, explorationTerm } from './exploration.ts';
import { likelihoodTerm } from './likelihood.ts';
import { type BatchBaseline, NO_BASELINE, type PreferenceLoss, type WinProbabilities } from './preference.ts';
import { CERTAIN_LABEL, labelledTerm, type PairLabel } from './soft-label.ts';

/** log pi(y|x) in nats, summed over the scored tokens of each sequence; `response` null where none was sampled. */
export interface SequenceLogProbs {
  readonly chosen: number;
  readonly rejected: number;
  readonly response: number | null;
}

/** What the objective needs to know about one pair. */
export interface PairInput {
  readonly policy: SequenceLogProbs;
  readonly reference: SequenceLogProbs;
  /** Scored tokens of each sequence; only ipo and a chosen likelihood read them. */
  readonly lengths: { readonly chosen: number; readonly rejected: number; readonly response: number | null };
  /** What the ranker makes of the two; only sppo reads them. Null or absent: the chosen certainly wins. */
  readonly winProbabilities?: WinProbabilities | null;
  /** How sure it is that the chosen is better, and how much the pair counts. @default certainly, as any other */
  readonly label?: PairLabel | undefined;
}

export interface ObjectiveOptions {
  readonly preference: PreferenceLoss;
  readonly exploration: Exploration;
  /** Weight of the chosen response's mean log-likelihood beside both (RPO). @default 0 */
  readonly chosenLikelihood?: number;
}

/** The objective at one pair. `gradient` is d loss / d policy log-probability (summed) of each sequence. */
export interface PairObjective {
  readonly loss: number;
  readonly preferenceLoss: number;
  readonly explorationLoss: number;
  /** 0 without a weight of the chosen likelihood. */
  readonly likelihoodLoss: number;
  readonly gradient: { readonly chosen: number; readonly rejected: number; readonly response: number };
  /** Implicit rewards beta (log pi_theta - log pi_ref), TRL's rewards/chosen and rewards/rejected. */
  readonly rewardChosen: number;
  readonly rewardRejected: number;
}

const SEQUENCES = ['chosen', 'rejected', 'response'] as const;

/**
 * The loss of one pair, minimised by training: preference loss + exploration term, and where it has a weight the chosen
 * response's likelihood. For dpo and selm it is the paper's Eq. 3.2 with its sign turned (https://arxiv.org/abs/2405.19332), as the authors' code has it:
 *
 *   -log sigma(beta Delta) + alpha beta (log pi_theta(y) - log pi_ref(y))
 *   Delta = (log pi_theta(y_w) - log pi_ref(y_w)) - (log pi_theta(y_l) - log pi_ref(y_l))
 *
 * With a label, -log sigma is its expectation over which of the two is better (soft-label.ts).
 *
 * With alpha = 0, or without a response, the result is that of `exploration: { kind: 'none' }` bit for bit.
 *
 * @param baseline numbers of the whole step, where the preference loss needs them (`needsBaseline`)
 * @throws TrainingError OBJECTIVE_INPUT_NOT_FINITE (names the log-probability), OBJECTIVE_RESPONSE_MISMATCH (one of
 *   policy and reference has a response and the other has none), OBJECTIVE_NOT_FINITE (finite inputs that overflow)
 */
export function pairObjective(
  input: PairInput,
  options: ObjectiveOptions,
  baseline: BatchBaseline = NO_BASELINE,
): PairObjective {
  checkInput(input);
  const { policy, reference, lengths, winProbabilities = null, label = CERTAIN_LABEL } = input;
  const pair = { ...logRatios(input), lengths, winProbabilities };
  const preference = labelledTerm(pair, label, { preference: options.preference, baseline });
  const exploration = explorationTerm(
    policy.response === null || reference.response === null
      ? null
      : { policy: policy.response, reference: reference.response },
    {
      exploration: options.exploration,
      beta: options.preference.beta,
      preferenceSlope: (Math.abs(preference.gradient.chosen) + Math.abs(preference.gradient.rejected)) / 2,
    },
  );
  const likelihood = likelihoodTerm({ logProb: policy.chosen, length: lengths.chosen }, options.chosenLikelihood ?? 0);
  const { chosen, rejected } = preference.gradient;
  const result: PairObjective = {
    loss: preference.loss + exploration.loss + likelihood.loss,
    preferenceLoss: preference.loss,
    explorationLoss: exploration.loss,
    likelihoodLoss: likelihood.loss,
    gradient: { chosen: chosen + likelihood.gradient, rejected, response: exploration.gradient },
    rewardChosen: preference.rewardChosen,
    rewardRejected: preference.rewardRejected,
  };
  checkResult(result, input);
  return result;
}

/** log pi_theta - log pi_ref of the chosen and the rejected response. */
export function logRatios({ policy, reference }: Pick<PairInput, 'policy' | 'reference'>): {
  chosen: number;
  rejected: number;
} {
  return { chosen: policy.chosen - reference.chosen, rejected: policy.rejected - reference.rejected };
}

/**
 * The loss of the pair where the policy still is the reference (every log-ratio 0): ln 2 for dpo, 1 / (2 beta)^2 for ipo,
 * 1 for hinge, 1 / (2 beta^2) for sppo with hard targets, 1/2 for kto; selm, popo, held and vpo add 0 to it, xpo
 * alpha log pi_ref(y), and a chosen likelihood its own loss.
 * The first step of each iteration must meet it, or reference and policy disagree on a forward pass.
 */
export function lossAtReference(input: Omit<PairInput, 'policy'>, options: ObjectiveOptions): number {
  return pairObjective({ ...input, policy: input.reference }, options).loss;
}

function checkInput(input: PairInput): void {
  for (const model of ['policy', 'reference'] as const) {
    for (const sequence of SEQUENCES) {
      const logProb = input[model][sequence];
      if (logProb === null || Number.isFinite(logProb)) continue;
      throw new TrainingError(
        'OBJECTIVE_INPUT_NOT_FINITE',
        `Cannot compute the objective: the ${model}'s log-probability of the ${sequence} response is ${logProb} and must be finite: look for damaged weights, a too large learning rate, or overflow in a low-precision dtype`,
        { details: { model, sequence, logProb: String(logProb) } },
      );
    }
  }
  if ((input.policy.response === null) !== (input.reference.response === null)) {
    throw new TrainingError(
      'OBJECTIVE_RESPONSE_MISMATCH',
      `Cannot compute the objective: the log-probability of the sampled response is ${input.policy.response} under the policy and ${input.reference.response} under the reference: give both or neither`,
    );
  }
}

function checkResult(result: PairObjective, input: PairInput): void {
  const { gradient } = result;
  const numbers = [result.loss, gradient.chosen, gradient.rejected, gradient.response];
  if ([...numbers, result.rewardChosen, result.rewardRejected].every(Number.isFinite)) return;
  throw new TrainingError(
    'OBJECTIVE_NOT_FINITE',
    `Cannot compute the objective: the loss is ${result.loss} for log-probabilities that are finite but too large: look for damaged weights or a too large learning rate`,
    { details: { policy: input.policy, reference: input.reference } },
  );
}
