/**
 * @file MaxMinLCB (Pásztor et al. 2024, "Bandits with Preference Feedback", arXiv 2406.16745): the answer whose worst match is
 * surest to be won, against that match. Answers that another surely beats are left out, as in
 * lasgroup/ActiveUltraFeedback at 3cf700a, activeuf/acquisition_function/maxminlcb.py; ties go to the first here.
 */
import { bestPair } from './best-pair.ts';
import type { Belief, SelectRule } from './rule.ts';

/** argmax over i of min over j of (mean - mean') - (half-width + half-width'), and that j. */
export const maxMinLowerBound: SelectRule = (beliefs) => {
  const may = beliefs.flatMap((belief, index) => (isCandidate(belief, beliefs) ? [index] : []));
  // One that surely beats all others leaves nothing to ask about among candidates: it meets whoever comes closest.
  const opponents = may.length > 1 ? may : beliefs.map((_, index) => index);
  const hardest = (i: number): { opponent: number; bound: number } => {
    let worst = { opponent: i === 0 ? 1 : 0, bound: Number.POSITIVE_INFINITY };
    for (const j of opponents) {
      const bound = lowerBound(beliefs[i], beliefs[j]);
      if (j !== i && bound < worst.bound) worst = { opponent: j, bound };
    }
    return worst;
  };
  const [first] =
    may.length > 1 ? bestOf(may, (i) => hardest(i).bound) : may.length === 1 ? may : bestPair(beliefs.length, () => 0);
  return [first ?? 0, hardest(first ?? 0).opponent];
};

function lowerBound(first: Belief | undefined, second: Belief | undefined): number {
  if (first === undefined || second === undefined) return Number.NEGATIVE_INFINITY;
  return first.mean - second.mean - (first.upper - first.lower + (second.upper - second.lower)) / 2;
}

/** Whether no other answer surely beats it. */
function isCandidate(belief: Belief, beliefs: readonly Belief[]): boolean {
  return beliefs.every((other) => other === belief || lowerBound(other, belief) < 0);
}

function bestOf(indices: readonly number[], score: (index: number) => number): readonly [number] {
  return [indices.reduce((best, index) => (score(index) > score(best) ? index : best), indices[0] ?? 0)];
}
