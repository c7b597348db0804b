/**
 * @file Preference losses: how far a pair (chosen, rejected) is from the order that the ranker gave it. Numbers in, the
 * loss and its derivative out, float64, no tensors. To add one: a member of `PreferenceLoss`, a case in
 * `preferenceTerm` (the compiler names every switch that lacks it), golden values in the test, its row in
 * docs/objectives.md.
 */
import { RecipeError, TrainingError } from '../errors.ts';

/** Which preference loss, with its own settings. `beta` (above 0) is the strength of the KL constraint. */
export type PreferenceLoss =
  | { readonly kind: 'dpo'; readonly beta: number; readonly labelSmoothing: number }
  | { readonly kind: 'ipo'; readonly beta: number }
  | { readonly kind: 'hinge'; readonly beta: number };

/** log pi_theta(y|x) - log pi_ref(y|x) of the two responses, in nats, summed over tokens, and their token counts. */
export interface PairLogRatios {
  readonly chosen: number;
  readonly rejected: number;
  readonly lengths: { readonly chosen: number; readonly rejected: number };
}

/** A preference loss at one pair: value, derivative by each policy log-probability, implicit rewards. */
export interface PreferenceTerm {
  readonly loss: number;
  readonly gradient: { readonly chosen: number; readonly rejected: number };
  readonly rewardChosen: number;
  readonly rewardRejected: number;
}

/**
 * The preference loss of one pair. With Delta = chosen - rejected (log-ratios):
 *
 * - dpo: -log sigma(beta Delta) (1 - e) - log sigma(-beta Delta) e, e = `labelSmoothing`. Rafailov et al. 2023,
 *   https://arxiv.org/abs/2305.18290, Eq. 7 (the SELM paper's L_DPO in section 2); smoothing as in cDPO, Eq. 3,
 *   https://ericmitchell.ai/cdpo.pdf.
 * - ipo: (Delta - 1 / (2 beta))^2, Azar et al. 2023, https://arxiv.org/abs/2310.12036, Eq. 17. As in TRL, the
 *   log-ratios are averages per token here, so the derivative by a summed log-probability is divided by the length.
 * - hinge: max(0, 1 - beta Delta), SLiC-HF in TRL's form, Zhao et al. 2023, https://arxiv.org/abs/2305.10425. At the
 *   kink the derivative is 0, as torch.relu has it.
 *
 * The implicit reward is beta times the log-ratio that the loss itself uses (for ipo the average per token: TRL logs
 * the same).
 *
 * @throws RecipeError OBJECTIVE_BETA_INVALID, OBJECTIVE_LABEL_SMOOTHING_INVALID
 * @throws TrainingError OBJECTIVE_LENGTH_INVALID (ipo)
 */
export function preferenceTerm(pair: PairLogRatios, preference: PreferenceLoss): PreferenceTerm {
  checkPreference(preference);
  const { beta } = preference;
  switch (preference.kind) {
    case 'dpo': {
      const { labelSmoothing } = preference;
      const margin = beta * (pair.chosen - pair.rejected);
      const loss = -logSigmoid(margin) * (1 - labelSmoothing) - logSigmoid(-margin) * labelSmoothing;
      const slope = beta * (sigmoid(margin) * labelSmoothing - sigmoid(-margin) * (1 - labelSmoothing));
      return term(loss, { chosen: slope, rejected: -slope }, pair, beta);
    }
    case 'ipo': {
      const lengths = checkLengths(pair.lengths);
      const average = { chosen: pair.chosen / lengths.chosen, rejected: pair.rejected / lengths.rejected };
      const distance = average.chosen - average.rejected - 1 / (2 * beta);
      const gradient = { chosen: (2 * distance) / lengths.chosen, rejected: (-2 * distance) / lengths.rejected };
      return term(distance * distance, gradient, average, beta);
    }
    case 'hinge': {
      const shortfall = 1 - beta * (pair.chosen - pair.rejected);
      const slope = shortfall > 0 ? -beta : 0;
      return term(Math.max(0, shortfall), { chosen: slope, rejected: -slope }, pair, beta);
    }
    default:
      return preference satisfies never;
  }
}

/**
 * The preference loss where the policy still is the reference (every log-ratio 0): ln 2 for dpo, 1 / (2 beta)^2 for
 * ipo, 1 for hinge. The first step of each iteration must meet it, or reference and policy disagree on a forward pass.
 */
export function lossAtReference(preference: PreferenceLoss): number {
  return preferenceTerm({ chosen: 0, rejected: 0, lengths: { chosen: 1, rejected: 1 } }, preference).loss;
}

/** log sigma(x) = -log(1 + e^-x), exact to rounding for every finite x: the exponent is never positive. */
export function logSigmoid(x: number): number {
  return Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));
}

/** sigma(x) = 1 / (1 + e^-x), exact to rounding for every finite x; 0 rather than NaN far below zero. */
export function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const exponential = Math.exp(x);
  return exponential / (1 + exponential);
}

function term(
  loss: number,
  gradient: PreferenceTerm['gradient'],
  logRatios: { readonly chosen: number; readonly rejected: number },
  beta: number,
): PreferenceTerm {
  return { loss, gradient, rewardChosen: beta * logRatios.chosen, rewardRejected: beta * logRatios.rejected };
}

function checkPreference(preference: PreferenceLoss): void {
  const { beta } = preference;
  if (!(Number.isFinite(beta) && beta > 0)) {
    throw new RecipeError(
      'OBJECTIVE_BETA_INVALID',
      `Cannot compute the ${preference.kind} loss with beta ${beta}: beta is a number above 0: the paper uses 0.01`,
      { details: { kind: preference.kind, beta } },
    );
  }
  if (preference.kind !== 'dpo') return;
  const { labelSmoothing } = preference;
  // At 0.5 the labels carry no information and the optimum is the reference itself; above, they are reversed.
  if (!(labelSmoothing >= 0 && labelSmoothing < 0.5)) {
    throw new RecipeError(
      'OBJECTIVE_LABEL_SMOOTHING_INVALID',
      `Cannot compute the dpo loss with labelSmoothing ${labelSmoothing}: it is the probability that a label is wrong, at least 0 and below 0.5`,
      { details: { labelSmoothing } },
    );
  }
}

function checkLengths(lengths: PairLogRatios['lengths']): PairLogRatios['lengths'] {
  for (const which of ['chosen', 'rejected'] as const) {
    const length = lengths[which];
    if (!(Number.isInteger(length) && length >= 1)) {
      throw new TrainingError(
        'OBJECTIVE_LENGTH_INVALID',
        `Cannot average the log-probability of the ${which} response over ${length} tokens: ipo needs the number of scored tokens, 1 or more`,
        { details: { which, length } },
      );
    }
  }
  return lengths;
}
