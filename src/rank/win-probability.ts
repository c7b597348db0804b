/** @file From a ranking to win probabilities: how often a candidate beats what the policy says. Pure. */
import type { Candidate, Ranking } from './ranker.ts';

/**
 * P(candidate beats pi | x) for every candidate: the mean over the policy's own responses of the probability that it
 * beats each (1/2 against itself), as SPPO estimates it (https://arxiv.org/abs/2405.00675, Eq. 4.6). Scores are taken
 * as Bradley-Terry log-odds, sigma(s_i - s_j), which those of PairRM and of reward models are. A judge that compares says
 * the probability itself: the mean over the orders it was asked in, or where it was not asked about the two (both met a
 * third), one half and half the difference of its mean preferences. A ranker that only orders gives 1, 1/2 (tie) or 0.
 *
 * @returns one probability a candidate; empty where the ranking has a problem or nothing was sampled
 */
export function winProbabilities(
  item: { readonly candidates: readonly Pick<Candidate, 'kind' | 'text'>[] },
  { order, ties, scores, problem, judgements = [] }: Ranking,
): number[] {
  const opponents = item.candidates.flatMap(({ kind }, index) => (kind === 'response' ? [index] : []));
  if (problem !== undefined || opponents.length === 0) return [];
  const place = new Map(order.map((index, at) => [index, at]));
  const tied = (a: number, b: number): boolean => ties.some((tie) => tie.includes(a) && tie.includes(b));
  const compares = judgements.some(({ shown }) => shown.length === 2);
  const judged = (a: number, b: number): number => {
    const [ours, theirs] = [item.candidates[a]?.text, item.candidates[b]?.text];
    if (ours === theirs) return 0.5;
    // By text: of candidates with equal texts one was shown.
    const said = judgements.flatMap(({ shown: [first = -1, second = -1], value }) => {
      const [shownFirst, shownSecond] = [item.candidates[first]?.text, item.candidates[second]?.text];
      if (value === null) return [];
      if (shownFirst === ours && shownSecond === theirs) return [value];
      return shownFirst === theirs && shownSecond === ours ? [1 - value] : [];
    });
    if (said.length > 0) return said.reduce((sum, value) => sum + value, 0) / said.length;
    return 0.5 + ((scores?.[a] ?? Number.NaN) - (scores?.[b] ?? Number.NaN)) / 2;
  };
  const beats = (a: number, b: number): number => {
    if (compares) return judged(a, b);
    if (scores !== null) return 1 / (1 + Math.exp((scores[b] ?? Number.NaN) - (scores[a] ?? Number.NaN)));
    if (a === b || tied(a, b)) return 0.5;
    return (place.get(a) ?? 0) < (place.get(b) ?? 0) ? 1 : 0;
  };
  return item.candidates.map(
    (_, index) => opponents.reduce((sum, opponent) => sum + beats(index, opponent), 0) / opponents.length,
  );
}
