/**
 * @file From a ranking to a preference pair, as the authors' code does it (scripts/online_feedback.py, l. 35-52 of
 * https://github.com/shenao-zhang/SELM at 0ba546a): candidates [y..., y_w, y_l], best = argmin of the ranks, worst =
 * argmax, and the FIRST index wins a tie for both. Pure. One difference on purpose: there, a three-way tie gives a pair
 * of a text with itself (zero preference gradient); here equal texts never form a pair, and the reason is counted.
 */
import type { Candidate, RankItem, Ranking } from './ranker.ts';

/**
 * Which candidates may become the pair.
 * - best-and-worst: the best and the worst of all candidates.
 * - replace: the data's rejected is left out; the best of {samples, chosen} becomes chosen, the worst of them rejected.
 */
export type PairRule = 'best-and-worst' | 'replace';

/** Why a prompt gave no pair; the words are counted in the audit and shown in the report. */
export type SkipReason = 'ranker problem' | 'fewer than two candidates' | 'all candidates tie' | 'equal texts';

/** A preference pair, or why there is none. */
export type Pairing =
  | {
      kind: 'pair';
      promptId: string;
      chosen: Candidate;
      rejected: Candidate;
      /** The sample of the optimism term: sample 0, whether it ranked best, worst or between; null without samples. */
      response: Candidate | null;
      scoreChosen: number | null;
      scoreRejected: number | null;
      /** The best (worst) place was shared, and the first candidate took it. */
      tieForBest: boolean;
      tieForWorst: boolean;
    }
  | { kind: 'skipped'; promptId: string; reason: SkipReason };

/**
 * The pair of one prompt. With n > 1 samples the optimism term takes the first sample (index 0): its samples are
 * exchangeable, so this is one draw y ~ pi_{t-1} as in Eq. 3.2 of https://arxiv.org/abs/2405.19332, and it does not depend on the ranker.
 *
 * @param item the candidates that were ranked
 * @param ranking its verdict, with as many places as there are candidates
 */
export function buildPair(item: RankItem, ranking: Ranking, rule: PairRule): Pairing {
  const { promptId, candidates } = item;
  const skipped = (reason: SkipReason): Pairing => ({ kind: 'skipped', promptId, reason });
  if (ranking.problem !== undefined) return skipped('ranker problem');

  const places = placesOf(ranking);
  const eligible = candidates.flatMap((candidate, index) => (mayCompete(candidate, rule) ? [index] : []));
  if (eligible.length < 2) return skipped('fewer than two candidates');

  const eligiblePlaces = eligible.map((index) => places[index] ?? 0);
  const bestPlace = Math.min(...eligiblePlaces);
  const worstPlace = Math.max(...eligiblePlaces);
  const best = eligible[eligiblePlaces.indexOf(bestPlace)] ?? 0;
  const worst = eligible[eligiblePlaces.indexOf(worstPlace)] ?? 0;
  const chosen = candidates[best];
  const rejected = candidates[worst];
  if (chosen === undefined || rejected === undefined) return skipped('fewer than two candidates');
  // Samples that agree word for word (a prompt the policy is sure of) are told apart from a ranker that cannot decide.
  if (eligible.every((index) => candidates[index]?.text === chosen.text)) return skipped('equal texts');
  if (bestPlace === worstPlace) return skipped('all candidates tie');
  if (chosen.text === rejected.text) return skipped('equal texts');

  return {
    kind: 'pair',
    promptId,
    chosen,
    rejected,
    response: candidates.find((candidate) => candidate.kind === 'response' && candidate.sampleIndex === 0) ?? null,
    scoreChosen: ranking.scores?.[best] ?? null,
    scoreRejected: ranking.scores?.[worst] ?? null,
    tieForBest: eligiblePlaces.filter((place) => place === bestPlace).length > 1,
    tieForWorst: eligiblePlaces.filter((place) => place === worstPlace).length > 1,
  };
}

function mayCompete(candidate: Candidate, rule: PairRule): boolean {
  switch (rule) {
    case 'best-and-worst':
      return true;
    case 'replace':
      return candidate.kind !== 'rejected';
  }
}

/** The place of each candidate, 0 the best; all of a tie share the best place of the group (competition ranking). */
function placesOf(ranking: Ranking): number[] {
  const places: number[] = [];
  for (const [place, index] of ranking.order.entries()) places[index] = place;
  for (const tie of ranking.ties) {
    const shared = Math.min(...tie.map((index) => places[index] ?? 0));
    for (const index of tie) places[index] = shared;
  }
  return places;
}
