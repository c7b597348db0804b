/** @file Two answers by chance: what every other rule has to beat ("Random Is Hard to Beat", arXiv 2604.02766). */
import type { SelectRule } from './rule.ts';

/** Every pair is as likely as another. */
export const randomPair: SelectRule = (beliefs, draw) => {
  const first = Math.floor(draw() * beliefs.length);
  const other = Math.floor(draw() * (beliefs.length - 1));
  return [first, other < first ? other : other + 1];
};
