/** @file How several data files are mixed: fields of a `data` section, and what they mean together. */
import type { Mixture } from '../data/mixture.ts';
import { integer, listOf, probability } from './fields.ts';

/** Fields of a `data` section. */
export const mixtureFields = {
  shares: listOf(probability(), 'a list of shares, one each file')
    .nullable()
    .default(null)
    .describe(
      'Share of each file in the rows that are used, such as [0.7, 0.3]; their rows alternate. null: all rows, file after file',
    )
    .meta({ change: 'never' }),
  counts: listOf(integer(1), 'a list of whole numbers, one each file')
    .nullable()
    .default(null)
    .describe('Rows that are used of each file, in place of shares')
    .meta({ change: 'never' }),
};

/** What a `data` section says of its files and their shares. */
export interface MixedData {
  train: string | readonly string[];
  shares: readonly number[] | null;
  counts: readonly number[] | null;
  limit: number | null;
}

/** How the files are mixed; null: they follow each other, with all their rows. */
export function mixtureOf({ shares, counts }: Pick<MixedData, 'shares' | 'counts'>): Mixture | null {
  if (shares !== null) return { kind: 'shares', shares };
  return counts === null ? null : { kind: 'counts', counts };
}

/** Shares and counts that do not belong to the files, or to each other. */
export function checkMixture({ train, shares, counts, limit }: MixedData): { path: string[]; problem: string }[] {
  const files = typeof train === 'string' ? 1 : train.length;
  const report = (field: string, problem: string) => [{ path: ['data', field], problem }];
  if (shares !== null && counts !== null)
    return report('counts', 'and data.shares are both set: leave one of them out');
  const [field, given] = shares === null ? (['counts', counts] as const) : (['shares', shares] as const);
  if (given === null) return [];
  if (given.length !== files)
    return report(field, `lists ${given.length} numbers for ${files} files: give one each file`);
  if (counts !== null && limit !== null)
    return report('limit', `is ${limit}, and data.counts says how many rows are used: leave one of them out`);
  const sum = (shares ?? [1]).reduce((total, share) => total + share, 0);
  if (shares !== null && Math.abs(sum - 1) > 1e-3)
    return report('shares', `sum to ${Number(sum.toFixed(4))}, and they are parts of one whole: make them sum to 1`);
  return [];
}
