/**
 * @file How far raters agree when each of them rated some of the items: share of agreeing pairs, Krippendorff's alpha and
 * Gwet's AC1, for categories without an order. Pure; intervals resample items.
 */
import { bootstrapPooled } from './agreement.ts';
import type { Interval, IntervalOptions } from './statistics.ts';

/** Agreement of several raters. */
export interface RaterAgreement {
  /** Mean share of the pairs of ratings of an item that are the same, in [0, 1]. */
  percent: Interval;
  /** Where everything falls into one category it is not defined: NaN. */
  alpha: Interval;
  ac1: Interval;
  /** Items that two or more rated. */
  items: number;
  ratings: number;
}

/**
 * Agreement over items that at least two rated; null where there is none.
 *
 * - alpha = 1 - D_o / D_e of the coincidence matrix of pairable values, nominal metric (Krippendorff 2011, "Computing
 *   Krippendorff's Alpha-Reliability", part C).
 * - AC1 = (p_a - p_e) / (1 - p_e), p_e = sum of pi_k (1 - pi_k) / (q - 1), pi_k the mean share of category k in an item's ratings,
 *   over all items that anybody rated (Gwet 2008, https://doi.org/10.1348/000711006X126600, as irrCAC has it).
 *
 * @param items the ratings of each item as indices of categories
 * @param categories how many there are
 */
export function raterAgreement(
  items: readonly (readonly number[])[],
  { categories, seed, ...options }: IntervalOptions & { categories: number; seed: number },
): RaterAgreement | null {
  const rated = items.filter((ratings) => ratings.length > 0);
  const several = rated.filter((ratings) => ratings.length > 1);
  if (several.length === 0) return null;
  const rows = rated.map((ratings) => sumsOf(ratings, categories));
  const [percent, alpha, ac1] = bootstrapPooled(
    rows,
    [percentOf, alphaOf, ac1Of].map((statistic) => (sums: number[]) => statistic(sums, categories)),
    { seed, ...options },
  );
  if (percent === undefined || alpha === undefined || ac1 === undefined) return null;
  const ratings = several.reduce((sum, each) => sum + each.length, 0);
  return { percent, alpha, ac1, items: several.length, ratings };
}

/** The sums that an item contributes to: [agreeing share, has pairs, has ratings, share of each category, coincidences by category]. */
function sumsOf(ratings: readonly number[], categories: number): number[] {
  const counts = Array.from({ length: categories }, (_, k) => ratings.filter((rating) => rating === k).length);
  const all = ratings.length;
  const shares = counts.map((count) => count / all);
  if (all < 2) return [0, 0, 1, ...shares, ...new Array<number>(categories * categories).fill(0)];
  const agreeing = counts.reduce((sum, count) => sum + count * (count - 1), 0) / (all * (all - 1));
  const coincidences = counts.flatMap((a, i) => counts.map((b, j) => (a * (i === j ? b - 1 : b)) / (all - 1)));
  return [agreeing, 1, 1, ...shares, ...coincidences];
}

function percentOf([agreeing = Number.NaN, pairable = 0]: readonly number[]): number {
  return agreeing / pairable;
}

function alphaOf(sums: readonly number[], categories: number): number {
  const matrix = sums.slice(3 + categories);
  const totals = Array.from({ length: categories }, (_, k) =>
    matrix.slice(k * categories, (k + 1) * categories).reduce((sum, value) => sum + value, 0),
  );
  const all = totals.reduce((sum, total) => sum + total, 0);
  const same = totals.reduce((sum, _, k) => sum + (matrix[k * categories + k] ?? 0), 0);
  const expected = totals.reduce((sum, total) => sum + total * (all - total), 0) / (all - 1);
  return 1 - (all - same) / expected;
}

function ac1Of(sums: readonly number[], categories: number): number {
  const shares = sums.slice(3, 3 + categories).map((share) => share / (sums[2] ?? 0));
  const expected = shares.reduce((sum, share) => sum + share * (1 - share), 0) / (categories - 1);
  return (percentOf(sums) - expected) / (1 - expected);
}
