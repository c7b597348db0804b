/**
 * @file Preference losses: how far a pair (chosen, rejected) is from the order that the ranker gave it. Numbers in, the
 * loss and its derivative out, float64, no tensors. To add one: a member of `PreferenceLoss`, a case in
 * `preferenceTerm` (the compiler names every switch that lacks it), golden values in the test, its row in
 * docs/objectives.md.
 */
import { RecipeError, TrainingError } from '../errors.ts';
import { logSigmoid, sigmoid } from './sigmoid.ts';

/** Which preference loss, with its own settings. `beta` (above 0) is the strength of the KL constraint. */
export type PreferenceLoss =
  | { readonly kind: 'dpo'; readonly beta: number; readonly labelSmoothing: number }
  | { readonly kind: 'dpop'; readonly beta: number; readonly penalty: number }
  | { readonly kind: 'ipo'; readonly beta: number }
  | { readonly kind: 'hinge'; readonly beta: number }
  | { readonly kind: 'sppo'; readonly beta: number; readonly targets: 'hard' | 'ranker' }
  | {
      readonly kind: 'kto';
      readonly beta: number;
      readonly chosenWeight: number;
      readonly rejectedWeight: number;
    };

/** P(y > pi_ref | x): how often each response of a pair beats what the reference says, by the ranker. From 0 to 1. */
export interface WinProbabilities {
  readonly chosen: number;
  readonly rejected: number;
}

/** What the ranker is taken to say where it gave no probabilities: the chosen always wins, the rejected never. */
const CERTAIN: WinProbabilities = { chosen: 1, rejected: 0 };

/** log pi_theta(y|x) - log pi_ref(y|x) of the two responses, in nats, summed over tokens, and their token counts. */
export interface PairLogRatios {
  readonly chosen: number;
  readonly rejected: number;
  readonly lengths: { readonly chosen: number; readonly rejected: number };
  /** Only sppo with `targets: 'ranker'` reads them; null: certain. */
  readonly winProbabilities?: WinProbabilities | null;
}

/**
 * Numbers of the whole step that a pair's loss depends on, constants of its derivative. Only kto has any: its reference
 * points, one estimate of KL(policy || reference) >= 0 for the chosen and one for the rejected responses.
 */
export interface BatchBaseline {
  readonly chosen: number;
  readonly rejected: number;
}

export const NO_BASELINE: BatchBaseline = { chosen: 0, rejected: 0 };

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
 * - dpop: -log sigma(beta (Delta - penalty max(0, -chosen))): DPO-Positive of Smaug, Pal et al. 2024,
 *   https://arxiv.org/abs/2402.13228. As soon as the chosen response is less probable than under the reference, the loss
 *   pulls it up again: 1 + penalty times as strongly as it pushes the rejected one down. The paper's penalty is 50 and 5.
 *   At the kink the derivative is that of dpo, as torch.relu has it.
 * - ipo: (Delta - 1 / (2 beta))^2, Azar et al. 2023, https://arxiv.org/abs/2310.12036, Eq. 17. As in TRL, the
 *   log-ratios are averages per token here, so the derivative by a summed log-probability is divided by the length.
 * - hinge: max(0, 1 - beta Delta), SLiC-HF in TRL's form, Zhao et al. 2023, https://arxiv.org/abs/2305.10425. At the
 *   kink the derivative is 0, as torch.relu has it.
 * - sppo: (chosen - (P_c - 1/2) / beta)^2 + (rejected - (P_j - 1/2) / beta)^2, P the win probabilities, Wu et al. 2024,
 *   https://arxiv.org/abs/2405.00675, Eq. 4.7 with eta = 1 / beta. `hard`: P_c = 1, P_j = 0 (TRL's sppo_hard);
 *   `ranker`: the ranker's estimates, as the paper takes them.
 * - kto: (w_c sigma(beta (z_c - chosen)) + w_j sigma(beta (rejected - z_j))) / 2, Ethayarajh et al. 2024,
 *   https://arxiv.org/abs/2402.01306, Eq. 7, with the constants of its value function left out. The reference points z
 *   are `baseline`, see `ktoBaseline`; they have no derivative.
 *
 * The implicit reward is beta times the log-ratio that the loss itself uses (for ipo the average per token: TRL logs
 * the same).
 *
 * @param baseline of the step, see `needsBaseline`
 * @throws RecipeError OBJECTIVE_BETA_INVALID, OBJECTIVE_LABEL_SMOOTHING_INVALID, OBJECTIVE_WEIGHT_INVALID (kto, dpop)
 * @throws TrainingError OBJECTIVE_LENGTH_INVALID (ipo), OBJECTIVE_PROBABILITY_INVALID (sppo)
 */
export function preferenceTerm(
  pair: PairLogRatios,
  preference: PreferenceLoss,
  baseline: BatchBaseline = NO_BASELINE,
): PreferenceTerm {
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
    case 'dpop': {
      const { penalty } = preference;
      const fallen = Math.max(0, -pair.chosen);
      const margin = beta * (pair.chosen - pair.rejected - penalty * fallen);
      const slope = -beta * sigmoid(-margin);
      const gradient = { chosen: slope * (fallen > 0 ? 1 + penalty : 1), rejected: -slope };
      return term(-logSigmoid(margin), gradient, pair, beta);
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
    case 'sppo': {
      const probability =
        preference.targets === 'hard' ? CERTAIN : checkProbabilities(pair.winProbabilities ?? CERTAIN);
      const chosen = pair.chosen - (probability.chosen - 0.5) / beta;
      const rejected = pair.rejected - (probability.rejected - 0.5) / beta;
      const gradient = { chosen: 2 * chosen, rejected: 2 * rejected };
      return term(chosen * chosen + rejected * rejected, gradient, pair, beta);
    }
    case 'kto': {
      const { chosenWeight, rejectedWeight } = preference;
      const chosen = ktoTerm(pair.chosen, { desirable: true, beta, weight: chosenWeight, point: baseline.chosen });
      const rejected = ktoTerm(pair.rejected, {
        desirable: false,
        beta,
        weight: rejectedWeight,
        point: baseline.rejected,
      });
      // Half: a pair is two examples, and the mean over examples is the mean over pairs of half their sum.
      const gradient = { chosen: chosen.gradient / 2, rejected: rejected.gradient / 2 };
      return term((chosen.loss + rejected.loss) / 2, gradient, pair, beta);
    }
    default:
      return preference satisfies never;
  }
}

/** Whether a pair's loss depends on the other pairs of its step, so that the step must be scored before it is learned. */
export function needsBaseline({ kind }: PreferenceLoss): boolean {
  return kind === 'kto';
}

/**
 * KTO's reference points from the log-ratios of a step's pairs: max(0, mean log-ratio) of the rejected responses for the
 * chosen ones, and of the chosen ones for the rejected. It is the estimate of TRL 0.8.6 (`kto_pair`), over the whole
 * step instead of a micro-batch; the paper takes mismatched completions of the same batch (its section 4.1), which would
 * have to be run for nothing else. Both are biased: neither averages over the policy's own samples.
 */
export function ktoBaseline(pairs: readonly Pick<PairLogRatios, 'chosen' | 'rejected'>[]): BatchBaseline {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  return {
    chosen: Math.max(0, mean(pairs.map(({ rejected }) => rejected))),
    rejected: Math.max(0, mean(pairs.map(({ chosen }) => chosen))),
  };
}

/** How one response counts in KTO. */
export interface KtoExample {
  /** Whether the response is good: its log-ratio shall rise, else fall. */
  readonly desirable: boolean;
  readonly beta: number;
  readonly weight: number;
  /** The reference point z, an estimate of KL(policy || reference). It has no derivative. */
  readonly point: number;
}

/**
 * KTO's loss of one response by its log-ratio r, and its derivative by the policy's log-probability: w sigma(beta (z - r))
 * for a desirable one, w sigma(beta (r - z)) for another. Ethayarajh et al. 2024, https://arxiv.org/abs/2402.01306, Eq. 7.
 */
export function ktoTerm(
  logRatio: number,
  { desirable, beta, weight, point }: KtoExample,
): { loss: number; gradient: number } {
  const x = beta * (desirable ? point - logRatio : logRatio - point);
  const slope = weight * (beta * sigmoid(x) * sigmoid(-x));
  return { loss: weight * sigmoid(x), gradient: desirable ? -slope : slope };
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
  if (preference.kind === 'kto') checkWeights(preference);
  if (preference.kind === 'dpop') checkPenalty(preference.penalty);
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

function checkWeights(weights: { readonly chosenWeight: number; readonly rejectedWeight: number }): void {
  for (const which of ['chosenWeight', 'rejectedWeight'] as const) {
    const weight = weights[which];
    if (Number.isFinite(weight) && weight > 0) continue;
    throw new RecipeError(
      'OBJECTIVE_WEIGHT_INVALID',
      `Cannot compute the kto loss with ${which} ${weight}: it is a number above 0: 1 weighs both sides the same`,
      { details: { [which]: weight } },
    );
  }
}

function checkPenalty(penalty: number): void {
  if (Number.isFinite(penalty) && penalty >= 0) return;
  throw new RecipeError(
    'OBJECTIVE_WEIGHT_INVALID',
    `Cannot compute the dpop loss with penalty ${penalty}: it is 0 (plain dpo) or a positive number: the paper uses 50 and 5`,
    { details: { penalty } },
  );
}

function checkProbabilities(probabilities: WinProbabilities): WinProbabilities {
  for (const which of ['chosen', 'rejected'] as const) {
    const probability = probabilities[which];
    if (probability >= 0 && probability <= 1) continue;
    throw new TrainingError(
      'OBJECTIVE_PROBABILITY_INVALID',
      `Cannot compute the sppo loss: the ranker's win probability of the ${which} response is ${probability} and must be from 0 to 1: look at the ranker's scores`,
      { details: { which, probability } },
    );
  }
  return probabilities;
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
