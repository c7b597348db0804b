/** @file The two answers that are believed farthest apart in reward: the certain pairs (APL's second step, arXiv 2402.08114). */
import { bestPair } from './best-pair.ts';
import type { SelectRule } from './rule.ts';

/** Largest mean - mean'. */
export const largeGap: SelectRule = (beliefs) =>
  bestPair(beliefs.length, (i, j) => (beliefs[i]?.mean ?? 0) - (beliefs[j]?.mean ?? 0));
