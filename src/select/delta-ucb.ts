/** @file DeltaUCB (ActiveUltraFeedback, arXiv 2603.09692): the pair whose difference may be the largest. */
import { bestPair } from './best-pair.ts';
import type { SelectRule } from './rule.ts';

/** Largest upper - lower'. */
export const deltaUcb: SelectRule = (beliefs) =>
  bestPair(beliefs.length, (i, j) => (beliefs[i]?.upper ?? 0) - (beliefs[j]?.lower ?? 0));
