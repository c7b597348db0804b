/**
 * @file How far two rankers agree, beyond what chance would make them. A comparison is one rating of two candidates by each
 * ranker: first better, tie, second better. Pure; intervals resample prompts, since comparisons of one prompt are not
 * independent.
 */
import { type Interval, type IntervalOptions, quantile, resamplingTable } from './statistics.ts';

/** How often one rater said i and the other j: `table[i][j]`. Square. */
export type AgreementTable = readonly (readonly number[])[];

/** The three things that a ranker can say of two candidates, as indices of a table. */
export const PREFERENCES = ['first better', 'tie', 'second better'] as const;

/** Agreement on a set of prompts. */
export interface Agreement {
  /** Share of the comparisons on which both say the same, in [0, 1]. */
  percent: Interval;
  kappa: Interval;
  ac1: Interval;
  comparisons: number;
}

/** Places of the candidates in a ranking: 0 the best, equal for those that tie. */
export type Places = readonly number[];

/** The comparisons of one prompt as a table of `PREFERENCES`; each pair of candidates is one. */
export function preferenceTable(
  pairs: readonly (readonly [number, number])[],
  ours: Places,
  theirs: Places,
): number[][] {
  const table = PREFERENCES.map(() => PREFERENCES.map(() => 0));
  const sayOf = (places: Places, [a, b]: readonly [number, number]): number =>
    1 + Math.sign((places[a] ?? Number.NaN) - (places[b] ?? Number.NaN));
  for (const pair of pairs) {
    const row = table[sayOf(ours, pair)];
    const column = sayOf(theirs, pair);
    if (row !== undefined) row[column] = (row[column] ?? 0) + 1;
  }
  return table;
}

/** Share on the diagonal, in [0, 1]; NaN of an empty table. */
export function percentAgreement(table: AgreementTable): number {
  return table.reduce((sum, row, i) => sum + (row[i] ?? 0), 0) / total(table);
}

/**
 * Cohen's kappa: (p_o - p_e) / (1 - p_e), p_e the sum over categories of the product of both raters' shares (Cohen 1960,
 * https://doi.org/10.1177/001316446002000104, Eq. 1). NaN where both only ever used one and the same category.
 */
export function cohensKappa(table: AgreementTable): number {
  const { rows, columns } = shares(table);
  const expected = rows.reduce((sum, share, i) => sum + share * (columns[i] ?? 0), 0);
  return (percentAgreement(table) - expected) / (1 - expected);
}

/**
 * Gwet's AC1: (p_o - p_e) / (1 - p_e), p_e = sum of pi_k (1 - pi_k) / (q - 1), pi_k the mean of both raters' shares of
 * category k of q (Gwet 2008, https://doi.org/10.1348/000711006X126600). Holds where almost all fall in one category,
 * where kappa falls to 0 in spite of agreement.
 */
export function gwetsAc1(table: AgreementTable): number {
  const { rows, columns } = shares(table);
  const means = rows.map((share, k) => (share + (columns[k] ?? 0)) / 2);
  const expected = means.reduce((sum, mean) => sum + mean * (1 - mean), 0) / (table.length - 1);
  return (percentAgreement(table) - expected) / (1 - expected);
}

/** Agreement over prompts, one table each, with intervals over prompts; null without a comparison. */
export function agreementOf(
  tables: readonly AgreementTable[],
  seed: number,
  options: IntervalOptions = {},
): Agreement | null {
  const used = tables.filter((table) => total(table) > 0);
  if (used.length === 0) return null;
  const [percent, kappa, ac1] = bootstrapPooled(
    used.map((table) => table.flat()),
    [percentAgreement, cohensKappa, gwetsAc1].map((statistic) => (cells: number[]) => statistic(square(cells))),
    { seed, ...options },
  );
  if (percent === undefined || kappa === undefined || ac1 === undefined) return null;
  return {
    percent,
    kappa,
    ac1,
    comparisons: used.reduce((sum, table) => sum + total(table), 0),
  };
}

/** A pooled share, e.g. of comparisons whose two orders agree, with its interval over prompts; null without a count. */
export function pooledShare(
  byPrompt: readonly { count: number; of: number }[],
  seed: number,
  options: IntervalOptions = {},
): Interval | null {
  const used = byPrompt.filter(({ of }) => of > 0);
  if (used.length === 0) return null;
  const rows = used.map(({ count, of }) => [count, of]);
  const share = ([count = 0, of = 0]: number[]): number => count / of;
  return bootstrapPooled(rows, [share], { seed, ...options })[0] ?? null;
}

/**
 * Statistics of counts summed over prompts, with percentile bootstrap intervals from the same resamples. A resample in
 * which one is not defined (kappa of a single category) is left out of its interval.
 *
 * @param rows counts of each prompt, equally many
 */
export function bootstrapPooled(
  rows: readonly (readonly number[])[],
  statistics: readonly ((sums: number[]) => number)[],
  { seed, resamples = 2000, level = 0.95 }: IntervalOptions & { seed: number },
): Interval[] {
  const width = rows[0]?.length ?? 0;
  const counts = Float64Array.from(rows.flat());
  const pooled = (indices: Iterable<number>): number[] => {
    const sums = new Float64Array(width);
    for (const index of indices)
      for (let cell = 0; cell < width; cell++) sums[cell] = (sums[cell] ?? 0) + (counts[index * width + cell] ?? 0);
    return Array.from(sums);
  };
  const draws = resamplingTable(seed, rows.length, resamples);
  const resampled = Array.from({ length: resamples }, (_, resample) =>
    pooled(draws.subarray(resample * rows.length, (resample + 1) * rows.length)),
  );
  const all = pooled(rows.keys());
  return statistics.map((statistic) => {
    const values = resampled.map(statistic).filter(Number.isFinite);
    return {
      value: statistic(all),
      low: quantile(values, (1 - level) / 2),
      high: quantile(values, (1 + level) / 2),
      count: rows.length,
    };
  });
}

function total(table: AgreementTable): number {
  return table.flat().reduce((sum, count) => sum + count, 0);
}

/** Share of each category with each rater. */
function shares(table: AgreementTable): { rows: number[]; columns: number[] } {
  const all = total(table);
  return {
    rows: table.map((row) => row.reduce((sum, count) => sum + count, 0) / all),
    columns: table.map((_, j) => table.reduce((sum, row) => sum + (row[j] ?? 0), 0) / all),
  };
}

function square(cells: readonly number[]): number[][] {
  const size = Math.sqrt(cells.length);
  return Array.from({ length: size }, (_, row) => cells.slice(row * size, (row + 1) * size));
}
