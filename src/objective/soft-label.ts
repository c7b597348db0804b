/**
 * @file Labels that are not certain: people and judges may say that the chosen response is better with probability p, and a pair
 * may count for more than another. Any preference loss takes them. Pure.
 */
import { TrainingError } from '../errors.ts';
import {
  type BatchBaseline,
  type PairLogRatios,
  type PreferenceLoss,
  type PreferenceTerm,
  preferenceTerm,
} from './preference.ts';

/** What is known of a pair's order. */
export interface PairLabel {
  /** P(the chosen response is better), from 0 to 1. */
  readonly probability: number;
  /** How much the pair's preference loss counts, above 0; 1 is usual. The mean of a step is still over its pairs. */
  readonly weight: number;
}

/** The chosen response is better, and the pair counts as any other. */
export const CERTAIN_LABEL: PairLabel = { probability: 1, weight: 1 };

/**
 * The preference loss under a label: weight (p l(+) + (1 - p) l(-)), where l(-) is the loss of the pair turned round, its
 * chosen taken as rejected. For dpo this is cDPO (Eq. 3 of https://ericmitchell.ai/cdpo.pdf) with a smoothing of its own for
 * each pair. Implicit rewards are those of the two responses, whatever the label. The certain label gives `preferenceTerm`
 * bit for bit.
 *
 * @throws TrainingError OBJECTIVE_LABEL_INVALID, and what `preferenceTerm` throws
 */
export function labelledTerm(
  pair: PairLogRatios,
  label: PairLabel,
  { preference, baseline }: { preference: PreferenceLoss; baseline: BatchBaseline },
): PreferenceTerm {
  checkLabel(label);
  const { probability, weight } = label;
  const straight = preferenceTerm(pair, preference, baseline);
  if (probability === 1 && weight === 1) return straight;
  const turned = preferenceTerm(turnedRound(pair), preference, baseline);
  const mean = (ofStraight: number, ofTurned: number): number =>
    weight * (probability * ofStraight + (1 - probability) * ofTurned);
  return {
    ...straight,
    loss: mean(straight.loss, turned.loss),
    gradient: {
      chosen: mean(straight.gradient.chosen, turned.gradient.rejected),
      rejected: mean(straight.gradient.rejected, turned.gradient.chosen),
    },
  };
}

function turnedRound({ chosen, rejected, lengths, winProbabilities = null }: PairLogRatios): PairLogRatios {
  return {
    chosen: rejected,
    rejected: chosen,
    lengths: { chosen: lengths.rejected, rejected: lengths.chosen },
    winProbabilities:
      winProbabilities === null ? null : { chosen: winProbabilities.rejected, rejected: winProbabilities.chosen },
  };
}

function checkLabel({ probability, weight }: PairLabel): void {
  if (probability >= 0 && probability <= 1 && Number.isFinite(weight) && weight > 0) return;
  throw new TrainingError(
    'OBJECTIVE_LABEL_INVALID',
    `Cannot compute the loss under the label {probability: ${probability}, weight: ${weight}}: the probability is from 0 to 1 and the weight a number above 0: look at what the ranker says of the pair`,
    { details: { probability, weight } },
  );
}
