/** @file From a ranking to win probabilities: how often a candidate beats what the policy says. Pure. */
import type { Candidate, Ranking } from './ranker.ts';

/**
 * P(candidate beats pi | x) for every candidate: the mean over the policy's own responses of the probability that it
 * beats each (1/2 against itself), as SPPO estimates it (https://arxiv.org/abs/2405.00675, Eq. 4.6). Scores are taken
 * as Bradley-Terry log-odds, sigma(s_i - s_j), which those of PairRM and of reward models are; a ranker that only orders
 * gives 1, 1/2 (tie) or 0.
 *
 * @returns one probability a candidate; empty where the ranking has a problem or nothing was sampled
 */
export function winProbabilities(
  item: { readonly candidates: readonly Pick<Candidate, 'kind'>[] },
  { order, ties, scores, problem }: Ranking,
): number[] {
  const opponents = item.candidates.flatMap(({ kind }, index) => (kind === 'response' ? [index] : []));
  if (problem !== undefined || opponents.length === 0) return [];
  const place = new Map(order.map((index, at) => [index, at]));
  const tied = (a: number, b: number): boolean => ties.some((tie) => tie.includes(a) && tie.includes(b));
  const beats = (a: number, b: number): number => {
    if (scores !== null) return 1 / (1 + Math.exp((scores[b] ?? Number.NaN) - (scores[a] ?? Number.NaN)));
    if (a === b || tied(a, b)) return 0.5;
    return (place.get(a) ?? 0) < (place.get(b) ?? 0) ? 1 : 0;
  };
  return item.candidates.map(
    (_, index) => opponents.reduce((sum, opponent) => sum + beats(index, opponent), 0) / opponents.length,
  );
}
