/** @file Where a ranking is not sure of itself: its own orders disagree, best or worst are shared, or the margin is small. */
import type { Candidate, Judgement, Ranking } from './ranker.ts';
import { winsOver } from './win-probability.ts';

/** A pair of candidates that was shown in both orders. */
export interface BothOrders {
  /** Indices of the candidates, the lower first. */
  pair: [number, number];
  /** Whether both orders named the same winner, or both a tie. */
  consistent: boolean;
}

/** The pairs that were judged in both orders, and whether the orders agree. */
export function bothOrders(judgements: readonly Judgement[]): BothOrders[] {
  const sideOf = (first: number, second: number): number | null => {
    const found = judgements.find(({ shown, value }) => shown[0] === first && shown[1] === second && value !== null);
    return found === undefined || found.value === null ? null : Math.sign(found.value - 0.5);
  };
  return judgements.flatMap(({ shown: [first, second] }) => {
    if (first === undefined || second === undefined || first > second) return [];
    const straight = sideOf(first, second);
    const switched = sideOf(second, first);
    if (straight === null || switched === null) return [];
    return [{ pair: [first, second], consistent: straight + switched === 0 }];
  });
}

/**
 * Whether a ranking is in doubt about its best and worst: it has no verdict, several share the best or the worst place,
 * best minus worst score is at most `margin`, or the ranker contradicted itself on the two when their order was swapped.
 */
export function inDoubt(ranking: Omit<Ranking, 'promptId'>, margin: number): boolean {
  const best = ranking.order[0];
  const worst = ranking.order.at(-1);
  if (ranking.problem !== undefined || best === undefined || worst === undefined) return true;
  if (ranking.ties.some((tie) => tie.includes(best) || tie.includes(worst))) return true;
  const { scores } = ranking;
  if (scores !== null && (scores[best] ?? Number.NaN) - (scores[worst] ?? Number.NaN) <= margin) return true;
  return bothOrders(ranking.judgements ?? []).some(
    ({ pair, consistent }) => !consistent && pair.includes(best) && pair.includes(worst),
  );
}

/** Why another ranker is asked about a prompt that was drawn at random. */
export const DRAWN = 'drawn at random';

/** Why another ranker is asked where this ranking is in doubt: how likely its best beats its worst, in percent. */
export function doubtOf(candidates: readonly Candidate[], ranking: Ranking, name: string): string {
  const [best, worst] = [ranking.order[0], ranking.order.at(-1)];
  if (ranking.problem !== undefined || best === undefined || worst === undefined) return `${name} has no verdict here`;
  return `${name} is ${oddsText(winsOver(candidates, ranking, [best, worst]))} between its best and its worst here`;
}

/** A probability as people say it: `51:49`. */
export function oddsText(probability: number): string {
  const percent = Math.round(100 * probability);
  return `${percent}:${100 - percent}`;
}
