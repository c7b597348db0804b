/** @file One draw of Thompson sampling over beliefs: a reward for each answer from within its bounds. */
import type { Belief } from './rule.ts';

/**
 * Index of the highest drawn reward, mean + z (upper - lower) / 2 with z uniform in [-1, 1): the draw of ActiveUltraFeedback's
 * rules (lasgroup/ActiveUltraFeedback at 3cf700a, activeuf/acquisition_function/dts.py). `sign` -1 looks for the lowest.
 */
export function drawBest(beliefs: readonly Belief[], draw: () => number, sign: 1 | -1): number {
  let best = 0;
  let highest = Number.NEGATIVE_INFINITY;
  for (const [index, { mean, lower, upper }] of beliefs.entries()) {
    const value = sign * mean + (2 * draw() - 1) * ((upper - lower) / 2);
    if (value > highest) {
      highest = value;
      best = index;
    }
  }
  return best;
}

/** A second index that is not the first: drawn again until it differs, after 30 times by chance alone. */
export function drawAnother(first: number, count: number, again: () => number, draw: () => number): number {
  for (let attempt = 0; attempt < 30; attempt++) {
    const second = again();
    if (second !== first) return second;
  }
  const other = Math.floor(draw() * (count - 1));
  return other < first ? other : other + 1;
}
