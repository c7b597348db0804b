/** @file Prompts about which nothing more is to be learned from a ranker: it called all answers that it saw equally good, or all bad. Pure. */

/** What is looked at of a ranking; indices of candidates. */
export interface EarlierRanking {
  readonly promptId: string;
  readonly rankerId: string;
  readonly order: readonly number[];
  readonly ties: readonly (readonly number[])[];
}

/** Worth less than any question about another prompt: asked when nothing else is left. */
export const LAST = Number.NEGATIVE_INFINITY;

/** The prompts of which a ranker said that all answers are as good, or both bad. */
export function indifferentPrompts(rankings: readonly EarlierRanking[], rankerId: string): Set<string> {
  const found = rankings.filter(
    (each) => each.rankerId === rankerId && each.order.length > 1 && each.ties[0]?.length === each.order.length,
  );
  return new Set(found.map(({ promptId }) => promptId));
}
