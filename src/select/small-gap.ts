/** @file The two answers that are believed closest in reward: the hard pairs (arXiv 2508.04149, read in its abstract). */
import { bestPair } from './best-pair.ts';
import type { SelectRule } from './rule.ts';

/** Smallest |mean - mean'|. */
export const smallGap: SelectRule = (beliefs) =>
  bestPair(beliefs.length, (i, j) => -Math.abs((beliefs[i]?.mean ?? 0) - (beliefs[j]?.mean ?? 0)));
