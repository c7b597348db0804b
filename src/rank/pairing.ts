/**
 * @file From the candidates of a prompt to its preference pairs, by the rule of the recipe. Pure.
 *
 * The default is what the authors' code does (scripts/online_feedback.py, l. 35-52 of
 * https://github.com/shenao-zhang/SELM at 0ba546a): candidates [y..., y_w, y_l], best = argmin of the ranks, worst =
 * argmax, and the FIRST index wins a tie for both. One difference on purpose: there, a three-way tie gives a pair of a
 * text with itself (zero preference gradient); here equal texts never form a pair, and the reason is counted.
 */
import { sigmoid } from '../objective/sigmoid.ts';
import type { PairLabel } from '../objective/soft-label.ts';
import { randomPair } from '../select/random-pair.ts';
import { diversePair } from './diverse.ts';
import type { Candidate, RankItem, Ranking } from './ranker.ts';
import { logOddsOver, winsOver } from './win-probability.ts';

/**
 * Which candidates become pairs, where a ranker decides.
 * - best-and-worst: the best and the worst of all candidates.
 * - replace: the policy's best response takes the place of the data's chosen where it ranks above it, else its worst
 *   response takes the place of the data's rejected (the rule that the paper compared with, its appendix C). A prompt
 *   without a pair in the data gives best and worst of its responses.
 * - all-pairs: every two candidates that the ranker tells apart (DNO, with `minMargin`).
 * - diverse: of the better half of the policy's responses the one that it found least probable, of the worse half the most
 *   probable (DivPO, diverse.ts).
 * - best-over-random: the best of the policy's responses over another of them by chance: best-of-n against a plain sample.
 * - random: two of the policy's responses by chance, in the ranker's order: what cleverer rules have to beat.
 */
export type RankedRule = 'best-and-worst' | 'replace' | 'all-pairs' | 'diverse' | 'best-over-random' | 'random';

/**
 * Which candidates become pairs, where nothing is ranked.
 * - data-over-response: the data's chosen over each of the policy's responses (SPIN).
 * - keep: the data's own pair; nothing is sampled either (offline and stepwise DPO).
 */
export type UnrankedRule = 'data-over-response' | 'keep';

export type PairRule = RankedRule | UnrankedRule;

/** Why a prompt (or two of its candidates) gave no pair; the words are counted in the audit and shown in the report. */
export type SkipReason =
  | 'ranker problem'
  | 'not asked about'
  | 'fewer than two candidates'
  | 'all candidates tie'
  | 'equal texts'
  | 'margin too small'
  | 'no scores for a margin'
  | 'no likely winner'
  | 'no pair in the data';

/** A preference pair, or why there is none. */
export type Pairing =
  | {
      kind: 'pair';
      promptId: string;
      chosen: Candidate;
      rejected: Candidate;
      /** The sample of the optimism term, whether it ranked best, worst or between; null where there is none. */
      response: Candidate | null;
      scoreChosen: number | null;
      scoreRejected: number | null;
      /** How sure the ranker is of the order; null where nobody asked (`labels: hard`). */
      label: PairLabel | null;
      /** Whether another text shares the place of the chosen or of the rejected: which of them was taken is chance. */
      sharesPlace: boolean;
    }
  | { kind: 'skipped'; promptId: string; reason: SkipReason };

export interface PairOptions {
  /** Least difference of the two scores; null takes every pair. */
  readonly minMargin?: number | null;
  /** soft: with the ranker's probability that the chosen is better. @default hard */
  readonly labels?: 'hard' | 'soft';
  /** Factor on the ranker's log-odds in soft labels, by how it is calibrated. @default 1 */
  readonly trust?: number;
  /** margin: a pair without two scores is left out, since it has no weight. @default equal */
  readonly pairWeights?: 'equal' | 'margin';
  /** The sample that the exploration term takes. @default the first of the candidates */
  readonly explored?: Candidate | null;
  /** Mean log-probability a token of each sample, by its index, under the policy that gave it; only diverse reads it. */
  readonly logProbs?: ReadonlyMap<number, number>;
  /** Uniform numbers in [0, 1), a new one each call; only random and best-over-random read them. @default the first two responses */
  readonly draw?: () => number;
}

/** What a rule is made from: stages that would make what it does not need are left out. */
export function ruleNeeds(rule: PairRule): { samples: boolean; ranking: boolean } {
  switch (rule) {
    case 'best-and-worst':
    case 'replace':
    case 'all-pairs':
    case 'diverse':
    case 'best-over-random':
    case 'random':
      return { samples: true, ranking: true };
    case 'data-over-response':
      return { samples: true, ranking: false };
    case 'keep':
      return { samples: false, ranking: false };
  }
}

/**
 * The pairs of one prompt by a ranking. With n > 1 samples the optimism term takes the first sample (index 0): its
 * samples are exchangeable, so this is one draw y ~ pi_{t-1} as in Eq. 3.2 of https://arxiv.org/abs/2405.19332, and it
 * does not depend on the ranker.
 *
 * @param item the candidates that were ranked
 * @param ranking its verdict, with as many places as there are candidates
 */
export function rankedPairs(item: RankItem, ranking: Ranking, rule: RankedRule, options: PairOptions = {}): Pairing[] {
  const { candidates } = item;
  if (ranking.problem !== undefined) return [skipped(item, 'ranker problem')];
  const places = placesOf(ranking);
  const all = candidates.map((_, index) => index);
  switch (rule) {
    case 'best-and-worst':
      return [bestAndWorst(item, { ranking, places, eligible: all }, options)];
    case 'replace':
      return [replace(item, { ranking, places }, options)];
    case 'all-pairs': {
      const pairs = all.flatMap((first) =>
        all
          .slice(first + 1)
          .map((second) => bestAndWorst(item, { ranking, places, eligible: [first, second] }, options)),
      );
      return pairs.length === 0 ? [skipped(item, 'fewer than two candidates')] : pairs;
    }
    case 'diverse':
    case 'best-over-random':
    case 'random': {
      const responses = ranking.order.filter((index) => candidates[index]?.kind === 'response');
      if (responses.length < 2) return [skipped(item, 'fewer than two candidates')];
      const eligible = twoOf(item, { rule, responses }, options);
      return [bestAndWorst(item, { ranking, places, eligible }, options)];
    }
  }
}

/** Which two of the responses, given from best to worst, make the pair. */
function twoOf(
  item: RankItem,
  { rule, responses }: { rule: 'diverse' | 'best-over-random' | 'random'; responses: readonly number[] },
  options: PairOptions,
): number[] {
  switch (rule) {
    case 'diverse':
      return diverseOf(item, responses, options);
    case 'best-over-random': {
      const { draw = () => 0 } = options;
      const [best = 0, ...others] = responses;
      return ascending([best, others[Math.floor(draw() * others.length)] ?? best]);
    }
    case 'random':
      return randomOf(responses, options);
  }
}

/** Two of the responses, given from best to worst: rare and good, common and bad. */
function diverseOf({ candidates }: RankItem, responses: readonly number[], { logProbs }: PairOptions): number[] {
  const known = responses.map((index) => logProbs?.get(candidates[index]?.sampleIndex ?? -1) ?? 0);
  const places = [...responses.keys()];
  return ascending(diversePair(places, known).map((place) => responses[place] ?? 0));
}

function randomOf(responses: readonly number[], { draw = () => 0 }: PairOptions): number[] {
  const inOrder = ascending(responses);
  const beliefs = inOrder.map(() => ({ mean: 0, lower: 0, upper: 0 }));
  return ascending(randomPair(beliefs, draw).map((place) => inOrder[place] ?? 0));
}

function ascending(indices: readonly number[]): number[] {
  return [...indices].sort((a, b) => a - b);
}

/** The pairs of one prompt without a ranking. */
export function unrankedPairs(item: RankItem, rule: UnrankedRule, options: PairOptions = {}): Pairing[] {
  const { candidates } = item;
  const chosen = candidates.findIndex(({ kind }) => kind === 'chosen');
  if (chosen < 0) return [skipped(item, 'no pair in the data')];
  const worse = rule === 'keep' ? 'rejected' : 'response';
  const pairs = candidates.flatMap(({ kind }, index) =>
    kind === worse ? [pairOf(item, { ranking: null, places: [], best: chosen, worst: index }, options)] : [],
  );
  return pairs.length === 0 ? [skipped(item, 'fewer than two candidates')] : pairs;
}

interface Ranked {
  ranking: Ranking;
  /** Place of each candidate, 0 the best. */
  places: readonly number[];
}

function skipped({ promptId }: RankItem, reason: SkipReason): Pairing {
  return { kind: 'skipped', promptId, reason };
}

/** Best and worst of the eligible candidates (their indices, ascending). */
function bestAndWorst(
  item: RankItem,
  { ranking, places, eligible }: Ranked & { eligible: readonly number[] },
  options: PairOptions,
): Pairing {
  const { candidates } = item;
  const eligiblePlaces = eligible.map((index) => places[index] ?? 0);
  const bestPlace = Math.min(...eligiblePlaces);
  const worstPlace = Math.max(...eligiblePlaces);
  const best = eligible[eligiblePlaces.indexOf(bestPlace)];
  const worst = eligible[eligiblePlaces.indexOf(worstPlace)];
  if (eligible.length < 2 || best === undefined || worst === undefined) {
    return skipped(item, 'fewer than two candidates');
  }
  // Samples that agree word for word (a prompt the policy is sure of) are told apart from a ranker that cannot decide.
  const text = candidates[best]?.text;
  if (eligible.every((index) => candidates[index]?.text === text)) return skipped(item, 'equal texts');
  if (bestPlace === worstPlace) return skipped(item, 'all candidates tie');
  return pairOf(item, { ranking, places: eligiblePlaces, best, worst }, options);
}

function replace(item: RankItem, { ranking, places }: Ranked, options: PairOptions): Pairing {
  const { candidates } = item;
  const place = (index: number): number => places[index] ?? 0;
  const indicesOf = (kind: Candidate['kind']): number[] =>
    candidates.flatMap((candidate, index) => (candidate.kind === kind ? [index] : []));
  const responses = indicesOf('response');
  const [chosen] = indicesOf('chosen');
  const [rejected] = indicesOf('rejected');
  if (chosen === undefined || rejected === undefined) {
    return bestAndWorst(item, { ranking, places, eligible: responses }, options);
  }
  const bestPlace = Math.min(...responses.map(place));
  const worstPlace = Math.max(...responses.map(place));
  const best = responses.find((index) => place(index) === bestPlace);
  const worst = responses.find((index) => place(index) === worstPlace);
  if (best === undefined || worst === undefined) return skipped(item, 'fewer than two candidates');
  if (bestPlace < place(chosen)) {
    return pairOf(item, { ranking, places: [...responses.map(place)], best, worst: rejected }, options);
  }
  if (worstPlace === place(chosen)) return skipped(item, 'all candidates tie');
  return pairOf(item, { ranking, places: [...responses.map(place)], best: chosen, worst }, options);
}

/** The pair of two candidates, unless their texts are equal or their scores too close. */
function pairOf(
  item: RankItem,
  { ranking, places, best, worst }: { ranking: Ranking | null; places: readonly number[]; best: number; worst: number },
  { minMargin = null, labels = 'hard', trust = 1, pairWeights = 'equal', ...options }: PairOptions,
): Pairing {
  const { promptId, candidates } = item;
  const [better, rejected] = [candidates[best], candidates[worst]];
  const chosen = better === undefined ? undefined : editedBy(ranking, candidates, better);
  if (chosen === undefined || rejected === undefined) return skipped(item, 'fewer than two candidates');
  if (chosen.text === rejected.text) return skipped(item, 'equal texts');
  const scoreChosen = ranking?.scores?.[best] ?? null;
  const scoreRejected = ranking?.scores?.[worst] ?? null;
  const needsScores = minMargin !== null || pairWeights === 'margin';
  if (needsScores && (scoreChosen === null || scoreRejected === null)) return skipped(item, 'no scores for a margin');
  if (minMargin !== null && scoreChosen !== null && scoreRejected !== null) {
    if (!(scoreChosen - scoreRejected >= minMargin)) return skipped(item, 'margin too small');
  }
  const label =
    labels === 'soft' && ranking !== null ? labelOf(candidates, ranking, { pair: [best, worst], trust }) : null;
  // A tie never trains, nor does a pair whose two orders are as likely, however it was placed.
  if (label !== null && !(label.probability > 0.5)) return skipped(item, 'no likely winner');
  const isShared = (index: number): boolean =>
    candidates.some((other, i) => places[i] === places[index] && other.text !== candidates[index]?.text);
  return {
    kind: 'pair',
    promptId,
    chosen,
    rejected,
    response: 'explored' in options ? (options.explored ?? null) : sampleAt(candidates, 0),
    scoreChosen,
    scoreRejected,
    label,
    sharesPlace: ranking !== null && (isShared(best) || isShared(worst)),
  };
}

/**
 * Weights of pairs by the margins of their scores, mean 1: a pair whose answers hardly differ counts little. Margins are above 0,
 * since what ties makes no pair.
 */
export function marginWeights(margins: readonly number[]): number[] {
  const mean = margins.reduce((sum, margin) => sum + margin, 0) / margins.length;
  return margins.map((margin) => margin / mean);
}

/** The policy's sample of an index; null where it is not among the candidates. */
export function sampleAt(candidates: readonly Candidate[], index: number): Candidate | null {
  return candidates.find(({ kind, sampleIndex }) => kind === 'response' && sampleIndex === index) ?? null;
}

/** The best candidate as a person rewrote it, where one did when it was compared. */
function editedBy(ranking: Ranking | null, candidates: readonly Candidate[], best: Candidate): Candidate {
  const edited = ranking?.judgements?.findLast(({ edit, shown, value }) => {
    const preferred = (value ?? 0.5) > 0.5 ? shown[0] : shown[1];
    return edit !== undefined && candidates[preferred ?? -1]?.text === best.text;
  });
  return edited?.edit === undefined ? best : { kind: 'edit', sampleIndex: null, text: edited.edit };
}

/** What a ranker's verdict says of two candidates. */
function labelOf(
  candidates: readonly Candidate[],
  ranking: Ranking,
  { pair, trust }: { pair: readonly [number, number]; trust: number },
): PairLabel {
  const [best, worst] = pair;
  const [better, worse] = [candidates[best]?.text, candidates[worst]?.text];
  const direct = (ranking.judgements ?? []).find(({ shown }) => {
    const texts = shown.map((index) => candidates[index]?.text);
    return texts.includes(better) && texts.includes(worse);
  });
  const probability =
    trust === 1 ? winsOver(candidates, ranking, pair) : sigmoid(trust * logOddsOver(candidates, ranking, pair));
  return { probability, weight: direct?.weight ?? 1 };
}

/** The place of each candidate, 0 the best; all of a tie share the best place of the group (competition ranking). */
export function placesOf(ranking: Pick<Ranking, 'order' | 'ties'>): number[] {
  const places: number[] = [];
  for (const [place, index] of ranking.order.entries()) places[index] = place;
  for (const tie of ranking.ties) {
    const shared = Math.min(...tie.map((index) => places[index] ?? 0));
    for (const index of tie) places[index] = shared;
  }
  return places;
}
