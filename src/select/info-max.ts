/**
 * @file InfoMax: the pair whose outcome is most in doubt: the widest interval of its win probability, whatever the answers
 * are worth. As in lasgroup/ActiveUltraFeedback at 3cf700a, activeuf/acquisition_function/infomax.py.
 */
import { bestPair } from './best-pair.ts';
import type { SelectRule } from './rule.ts';

/** Largest sigma(upper - lower') - sigma(lower - upper'). */
export const infoMax: SelectRule = (beliefs) =>
  bestPair(beliefs.length, (i, j) => {
    const [first, second] = [beliefs[i], beliefs[j]];
    if (first === undefined || second === undefined) return Number.NEGATIVE_INFINITY;
    return sigmoid(first.upper - second.lower) - sigmoid(first.lower - second.upper);
  });

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
