/**
 * @file Which of several policies is best, and whether one fell behind: by a measure with one score an item (a held-out prompt, an item
 * of a benchmark), paired by item. Pure.
 */
import { type ByPrompt, commonDifference, FEWEST_PROMPTS, type Interval, mean } from './statistics.ts';

/** Scores of policies by iteration; 0 is the base. */
export type ScoresByIteration = ReadonlyMap<number, ByPrompt>;

/** Items that all policies have a score on. */
export function commonItems(scores: ScoresByIteration): string[] {
  const [first, ...others] = [...scores.values()];
  return [...(first?.keys() ?? [])].filter((id) => others.every((each) => each.has(id)));
}

/** The iteration with the highest mean over the items that all have, of equal ones the earliest; null where there is none. */
export function bestOf(scores: ScoresByIteration): number | null {
  const items = commonItems(scores);
  if (items.length === 0) return null;
  const means = [...scores]
    .map(([iteration, own]) => ({ iteration, value: mean(items.map((id) => mean(own.get(id) ?? []))) }))
    .filter(({ value }) => !Number.isNaN(value))
    .sort((a, b) => b.value - a.value || a.iteration - b.iteration);
  return means[0]?.iteration ?? null;
}

/** When a policy counts as worse: where the interval of its difference is below 0, or where it lost more than a number. */
export type RegressionRule = 'interval' | number;

/** A policy beside the best before it. */
export interface Standing {
  best: number;
  /** Own minus best, paired by item. */
  difference: Interval;
  isWorse: boolean;
}

/** How an iteration stands to the best of those before it, the base included; null where nothing can be compared. */
export function standingOf(
  scores: ScoresByIteration,
  { iteration, by, seed }: { iteration: number; by: RegressionRule; seed: number },
): Standing | null {
  const own = scores.get(iteration);
  const best = bestOf(new Map([...scores].filter(([each]) => each < iteration)));
  const bestScores = best === null ? undefined : scores.get(best);
  if (own === undefined || best === null || bestScores === undefined) return null;
  const difference = commonDifference(own, bestScores, seed);
  return difference === null ? null : { best, difference, isWorse: isBelow(difference, by) };
}

/** An interval over too few items says nothing. */
function isBelow({ value, high, count }: Interval, by: RegressionRule): boolean {
  return by === 'interval' ? count >= FEWEST_PROMPTS && high < 0 : value < -by;
}

/** How many iterations up to this one, without a break, were each worse than the best before it. */
export function worseInARow(
  scores: ScoresByIteration,
  rule: { iteration: number; by: RegressionRule; seed: number },
): number {
  let count = 0;
  while (standingOf(scores, { ...rule, iteration: rule.iteration - count })?.isWorse === true) count += 1;
  return count;
}
