/**
 * @file How far a ranker's probabilities can be trusted, told by somebody who judged some of the same comparisons: the slope b of
 * P(win) = sigma(b gap), where gap is the ranker's own log-odds (Platt 1999 without the offset, which two answers in either
 * order have no use for; the temperature of Guo et al. 2017, arXiv 1706.04599, is 1/b). Pure.
 */
import { sigmoid } from '../objective/sigmoid.ts';

/** What is expected before anybody judged: the ranker is right about its odds. Normal, with standard deviation 1. */
const EXPECTED = 1;
/** Steps of Newton's method at most; five are usual. */
const MOST_STEPS = 50;
const STILL = 1e-12;

/** A slope and how well it is known. */
export interface Calibration {
  /** b: 1 takes the ranker at its word, below 1 it is too sure of itself, at 0 what it says means nothing. */
  readonly slope: number;
  /** Standard deviation of b. */
  readonly deviation: number;
  readonly comparisons: number;
}

/**
 * The most probable b by comparisons. It is never below 0: a ranker whose winners lose is not believed backwards.
 *
 * @param gaps the ranker's log-odds for what won, of each comparison; below 0 where it expected the other to win
 */
export function calibrationBy(gaps: readonly number[]): Calibration {
  let slope = EXPECTED;
  for (let step = 0; step < MOST_STEPS; step++) {
    const { first, second } = derivatives(gaps, slope);
    // The logarithm of the posterior is concave, and its prior keeps the second derivative at -1 or below.
    const next = Math.max(0, slope - first / second);
    const moved = Math.abs(next - slope);
    slope = next;
    if (moved < STILL) break;
  }
  return { slope, deviation: 1 / Math.sqrt(-derivatives(gaps, slope).second), comparisons: gaps.length };
}

/** Derivatives of sum of log sigma(b gap) - (b - 1)^2 / 2 by b. */
function derivatives(gaps: readonly number[], slope: number): { first: number; second: number } {
  let [first, second] = [EXPECTED - slope, -1];
  for (const gap of gaps) {
    const p = sigmoid(slope * gap);
    first += (1 - p) * gap;
    second -= p * (1 - p) * gap * gap;
  }
  return { first, second };
}
