/**
 * @file The loss of one response that somebody called good or bad, without another beside it to compare with: KTO on
 * unpaired labels. Numbers in, the loss and its derivative out, float64, no tensors.
 */
import { RecipeError, TrainingError } from '../errors.ts';
import { ktoTerm } from './preference.ts';

/** Which loss on labels, with its settings. */
export interface LabelLoss {
  readonly kind: 'kto';
  /** Strength of the pull towards the reference, above 0. */
  readonly beta: number;
  /** Weight of a good response, lambda_D of the paper. */
  readonly desirableWeight: number;
  /** Weight of a bad response, lambda_U of the paper. */
  readonly undesirableWeight: number;
  /**
   * The reference point. `mismatched`: an estimate of KL(policy || reference) from the prompts of the step, each with
   * another one's response (the paper's section 4.1, TRL's `kto`). `none`: 0 (TRL's `apo_zero_unpaired`,
   * https://arxiv.org/abs/2408.06266, Eq. 7).
   */
  readonly baseline: 'mismatched' | 'none';
}

/** One response: log pi(y|x) in nats, summed over its scored tokens, under the policy and under the reference. */
export interface LabelInput {
  readonly policy: number;
  readonly reference: number;
  readonly desirable: boolean;
}

export interface LabelTerm {
  readonly loss: number;
  /** d loss / d policy log-probability. */
  readonly gradient: number;
  /** Implicit reward beta (log pi_theta - log pi_ref). */
  readonly reward: number;
}

/**
 * The loss of one labelled response, see `ktoTerm`.
 *
 * @param divergence of the step, see `labelDivergence`
 * @throws RecipeError OBJECTIVE_BETA_INVALID, OBJECTIVE_WEIGHT_INVALID
 * @throws TrainingError OBJECTIVE_INPUT_NOT_FINITE
 */
export function labelTerm(input: LabelInput, options: LabelLoss, divergence: number): LabelTerm {
  check(input, options);
  const { beta, desirableWeight, undesirableWeight } = options;
  const { desirable } = input;
  const logRatio = input.policy - input.reference;
  const weight = desirable ? desirableWeight : undesirableWeight;
  return { ...ktoTerm(logRatio, { desirable, beta, weight, point: divergence }), reward: beta * logRatio };
}

/**
 * The reference point of a step: max(0, mean log-ratio) of its mismatched responses, as TRL 1.16 has it; 0 where there are
 * none. A constant of the derivative.
 */
export function labelDivergence(mismatched: { readonly sum: number; readonly count: number }): number {
  return mismatched.count === 0 ? 0 : Math.max(0, mismatched.sum / mismatched.count);
}

/** The loss where the policy still is the reference: half the response's weight. The first step must meet it. */
export function labelLossAtReference(desirable: boolean, options: LabelLoss): number {
  return labelTerm({ policy: 0, reference: 0, desirable }, options, 0).loss;
}

/**
 * The range of `desirableWeight` that the paper's Eq. 8 advises: good responses weigh 1 to 4/3 times as much as bad ones, each
 * kind taken as a whole.
 */
export function advisedDesirableWeight(
  { desirable, undesirable }: { desirable: number; undesirable: number },
  undesirableWeight: number,
): { from: number; to: number } {
  const even = (undesirable * undesirableWeight) / desirable;
  return { from: even, to: (even * 4) / 3 };
}

function check({ policy, reference }: LabelInput, options: LabelLoss): void {
  const { beta } = options;
  if (!(Number.isFinite(beta) && beta > 0)) {
    throw new RecipeError(
      'OBJECTIVE_BETA_INVALID',
      `Cannot compute the kto loss with beta ${beta}: beta is a number above 0: 0.1 is usual`,
      { details: { beta } },
    );
  }
  for (const which of ['desirableWeight', 'undesirableWeight'] as const) {
    const weight = options[which];
    if (Number.isFinite(weight) && weight > 0) continue;
    throw new RecipeError(
      'OBJECTIVE_WEIGHT_INVALID',
      `Cannot compute the kto loss with ${which} ${weight}: it is a number above 0: 1 weighs both kinds the same`,
      { details: { [which]: weight } },
    );
  }
  for (const [model, logProb] of Object.entries({ policy, reference })) {
    if (Number.isFinite(logProb)) continue;
    throw new TrainingError(
      'OBJECTIVE_INPUT_NOT_FINITE',
      `Cannot compute the objective: the ${model}'s log-probability of a labelled response is ${logProb} and must be finite: look for damaged weights, a too large learning rate, or overflow in a low-precision dtype`,
      { details: { model, logProb: String(logProb) } },
    );
  }
}
