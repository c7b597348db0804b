/** @file From a ranking to win probabilities: how likely a candidate beats another one, and what the policy says. Pure. */
import { sigmoid } from '../objective/sigmoid.ts';
import type { Candidate, Judgement, Ranking } from './ranker.ts';

/** What is read of the candidates: where they come from, and their texts. */
type Contestant = Pick<Candidate, 'kind' | 'text'>;

/**
 * P(candidate a is better than candidate b), from 0 to 1, by a ranking without a problem. Scores are taken as Bradley-Terry
 * log-odds, sigma(s_a - s_b), which those of PairRM and of reward models are. Who compares says the probability itself: the
 * mean over the orders it was asked in. Where it was not asked about the two, a judge's is one half and half the difference
 * of its mean preferences (both met a third), and people's that of Bradley and Terry over the places between them. A ranker
 * that only orders gives 1, 1/2 (tie) or 0.
 */
export function winsOver(
  candidates: readonly Contestant[],
  ranking: Ranking,
  [a, b]: readonly [number, number],
): number {
  const { order, ties, scores, judgements = [] } = ranking;
  const compares = judgements.some(({ shown }) => shown.length === 2);
  if (compares) {
    const said = judged(candidates, judgements, [a, b]);
    if (said !== null) return said;
    if (scores === null) return alongPlaces(candidates, ranking, [a, b]);
    return 0.5 + ((scores[a] ?? Number.NaN) - (scores[b] ?? Number.NaN)) / 2;
  }
  if (scores !== null) return sigmoid((scores[a] ?? Number.NaN) - (scores[b] ?? Number.NaN));
  if (a === b || ties.some((tie) => tie.includes(a) && tie.includes(b))) return 0.5;
  return order.indexOf(a) < order.indexOf(b) ? 1 : 0;
}

/** A ranker that only orders, or says 1, is taken at its word no further: 99:1. */
const MOST_CERTAIN = 0.99;

/** log of P(a is better) / P(b is better): the difference of scores that are rewards, else finite whatever was said. */
export function logOddsOver(
  candidates: readonly Contestant[],
  ranking: Ranking,
  [a, b]: readonly [number, number],
): number {
  const rewards = scoresAsRewards(ranking);
  if (rewards !== null) return (rewards[a] ?? Number.NaN) - (rewards[b] ?? Number.NaN);
  const probability = Math.min(MOST_CERTAIN, Math.max(1 - MOST_CERTAIN, winsOver(candidates, ranking, [a, b])));
  return Math.log(probability) - Math.log1p(-probability);
}

/**
 * Rewards whose differences are log-odds, by a ranking without a problem: its scores where they are rewards; of who compares or only
 * orders the mean log-odds against all candidates, itself included, which is Bradley and Terry's reward where they agree.
 */
export function rewardsOf(candidates: readonly Contestant[], ranking: Ranking): number[] {
  const rewards = scoresAsRewards(ranking);
  if (rewards !== null) return [...rewards];
  const over = (a: number): number =>
    candidates.reduce((sum, _, b) => sum + logOddsOver(candidates, ranking, [a, b]), 0);
  return candidates.map((_, a) => over(a) / candidates.length);
}

/** Scores that are rewards; null where they are the shares of comparisons that were won, or where there are none. */
function scoresAsRewards({ scores, judgements = [] }: Ranking): readonly number[] | null {
  return judgements.some(({ shown }) => shown.length === 2) ? null : scores;
}

/** What was said of two texts, over all orders in which they were shown; null where they were not. */
function judged(
  candidates: readonly Contestant[],
  judgements: readonly Judgement[],
  [a, b]: readonly [number, number],
): number | null {
  const [ours, theirs] = [candidates[a]?.text, candidates[b]?.text];
  if (ours === theirs) return 0.5;
  // By text: of candidates with equal texts one was shown.
  const said = judgements.flatMap(({ shown: [first = -1, second = -1], value }) => {
    const [shownFirst, shownSecond] = [candidates[first]?.text, candidates[second]?.text];
    if (value === null) return [];
    if (shownFirst === ours && shownSecond === theirs) return [value];
    return shownFirst === theirs && shownSecond === ours ? [1 - value] : [];
  });
  return said.length === 0 ? null : said.reduce((sum, value) => sum + value, 0) / said.length;
}

/** The log-odds of neighbouring places added up, from the place of one to that of the other: neighbours were compared. */
function alongPlaces(
  candidates: readonly Contestant[],
  { order, ties, judgements = [] }: Ranking,
  [a, b]: readonly [number, number],
): number {
  const groupOf = (index: number): readonly number[] => ties.find((tie) => tie.includes(index)) ?? [index];
  const groups = order.map(groupOf).filter((group, at) => at === order.findIndex((index) => group.includes(index)));
  const [from, to] = [a, b].map((index) => groups.findIndex((group) => group.includes(index)));
  const [high = 0, low = 0] = [Math.min(from ?? 0, to ?? 0), Math.max(from ?? 0, to ?? 0)];
  const steps = Array.from({ length: low - high }, (_, step) => {
    const [better = [], worse = []] = [groups[high + step], groups[high + step + 1]];
    const said = better.flatMap((i) => worse.flatMap((j) => judged(candidates, judgements, [i, j]) ?? []));
    const probability = said.length === 0 ? 1 : said.reduce((sum, value) => sum + value, 0) / said.length;
    return Math.log(probability) - Math.log1p(-probability);
  });
  const logOdds = steps.reduce((sum, each) => sum + each, 0);
  return sigmoid(from === high ? logOdds : -logOdds);
}

/**
 * P(candidate beats pi | x) for every candidate: the mean over the policy's own responses of the probability that it
 * beats each (1/2 against itself), as SPPO estimates it (https://arxiv.org/abs/2405.00675, Eq. 4.6).
 *
 * @returns one probability a candidate; empty where the ranking has a problem or nothing was sampled
 */
export function winProbabilities(item: { readonly candidates: readonly Contestant[] }, ranking: Ranking): number[] {
  const { candidates } = item;
  const opponents = candidates.flatMap(({ kind }, index) => (kind === 'response' ? [index] : []));
  if (ranking.problem !== undefined || opponents.length === 0) return [];
  return candidates.map(
    (_, index) =>
      opponents.reduce((sum, opponent) => sum + winsOver(candidates, ranking, [index, opponent]), 0) / opponents.length,
  );
}
