/**
 * @file Double Thompson sampling (DTS; SEA, arXiv 2411.01493): two answers that each were best in a draw of the rewards. Asks
 * where the best answer is in doubt.
 */
import type { SelectRule } from './rule.ts';
import { drawAnother, drawBest } from './thompson.ts';

export const doubleThompson: SelectRule = (beliefs, draw) => {
  const first = drawBest(beliefs, draw, 1);
  return [first, drawAnother(first, beliefs.length, () => drawBest(beliefs, draw, 1), draw)];
};
