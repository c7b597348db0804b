/**
 * @file Double reverse Thompson sampling (DRTS; ActiveUltraFeedback, arXiv 2603.09692): the best answer of one draw of the
 * rewards against the worst of another.
 */
import type { SelectRule } from './rule.ts';
import { drawAnother, drawBest } from './thompson.ts';

export const doubleReverseThompson: SelectRule = (beliefs, draw) => {
  const first = drawBest(beliefs, draw, 1);
  return [first, drawAnother(first, beliefs.length, () => drawBest(beliefs, draw, -1), draw)];
};
