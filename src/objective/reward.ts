/**
 * @file The loss of an explicit reward model: logistic regression on comparisons, and optimism by the relative maximum
 * (the SELM paper's Eq. 1.1 and 3.1, "with a separate reward model", https://arxiv.org/abs/2405.19332). Rewards in,
 * losses and their derivatives out, float64, no tensors. Means over a batch are the caller's.
 */
import { RecipeError, TrainingError } from '../errors.ts';

/** A loss of one prompt's comparison, and its derivative by the two rewards. */
export interface ComparisonTerm {
  readonly loss: number;
  readonly gradient: { readonly chosen: number; readonly rejected: number };
}

/**
 * -log sigma(r_w - r_l): logistic regression under the Bradley-Terry model (the paper's Eq. 2.2, L_lr).
 *
 * @throws TrainingError OBJECTIVE_INPUT_NOT_FINITE
 */
export function comparisonLoss(rewards: { readonly chosen: number; readonly rejected: number }): ComparisonTerm {
  checkFinite([rewards.chosen, rewards.rejected]);
  const margin = rewards.chosen - rewards.rejected;
  // log(1 + e^-m) without overflow on either side; sigma(-m) likewise.
  const loss = Math.max(0, -margin) + Math.log1p(Math.exp(-Math.abs(margin)));
  const shortfall = margin >= 0 ? Math.exp(-margin) / (1 + Math.exp(-margin)) : 1 / (1 + Math.exp(margin));
  return { loss, gradient: { chosen: -shortfall, rejected: shortfall } };
}

/** The relative maximum of some rewards, and its derivative by each. */
export interface RelativeMaximum {
  /** 0 or more. */
  readonly value: number;
  readonly gradient: readonly number[];
}

/**
 * The optimism of Eq. 3.1 at one prompt, from responses y_1 .. y_n drawn from pi_ref. Its inner problem
 *
 *   max_pi E_{y ~ pi, y' ~ pi_ref}[r(y) - r(y')] - beta KL(pi || pi_ref)
 *
 * has the value beta log E_{pi_ref}[exp(r / beta)] - E_{pi_ref}[r] (the paper's appendix A), estimated here by
 *
 *   beta log( 1/n sum_i exp(r_i / beta) ) - 1/n sum_i r_i
 *
 * It is 0 where all rewards are equal and unchanged by adding a number to all; for beta -> 0 it becomes max - mean (the
 * relative maximum of Eq. 1.1, also taken for beta = 0), for large beta variance / (2 beta). It has no upper bound: the
 * weight alpha is small.
 *
 * @param beta softness of the maximum in units of reward, 0 or more
 * @throws RecipeError OBJECTIVE_BETA_INVALID; TrainingError OBJECTIVE_INPUT_NOT_FINITE
 */
export function relativeMaximum(rewards: readonly number[], beta: number): RelativeMaximum {
  checkFinite(rewards);
  if (!Number.isFinite(beta) || beta < 0) {
    throw new RecipeError(
      'OBJECTIVE_BETA_INVALID',
      `Cannot take the relative maximum with beta ${beta}: it is 0 (the hard maximum) or a positive number`,
      { details: { beta } },
    );
  }
  const count = rewards.length;
  if (count === 0) return { value: 0, gradient: [] };
  const most = Math.max(...rewards);
  const mean = rewards.reduce((sum, reward) => sum + reward, 0) / count;
  if (beta === 0) {
    const best = rewards.indexOf(most);
    return { value: most - mean, gradient: rewards.map((_, i) => (i === best ? 1 : 0) - 1 / count) };
  }
  // Differences from the largest: no exponential overflows.
  const weights = rewards.map((reward) => Math.exp((reward - most) / beta));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return {
    value: most - mean + beta * Math.log(total / count),
    gradient: weights.map((weight) => weight / total - 1 / count),
  };
}

function checkFinite(rewards: readonly number[]): void {
  const wrong = rewards.find((reward) => !Number.isFinite(reward));
  if (wrong === undefined) return;
  throw new TrainingError(
    'OBJECTIVE_INPUT_NOT_FINITE',
    `Cannot compute the reward model's loss: a reward is ${wrong} and must be finite: lower rewardModel.learningRate or rewardModel.alpha`,
    { details: { reward: String(wrong) } },
  );
}
