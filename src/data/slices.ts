/** @file Slices of the data: contiguous, equal, in file order, as the authors cut theirs (61,135 rows into 3 or 4). */
import { RecipeError } from '../errors.ts';

/** Rows [start, end). */
export interface Slice {
  start: number;
  end: number;
}

/**
 * Cuts `total` rows into slices of `size` (null: floor(total / count)), at most `count` of them; rows left over at the end
 * are not used. RecipeError when not even one slice fits.
 */
export function sliceRows(total: number, options: { count: number; size: number | null }): Slice[] {
  const size = options.size ?? Math.floor(total / options.count);
  if (size < 1 || size > total) {
    throw new RecipeError(
      'SLICES_TOO_LARGE',
      `Cannot cut ${total} rows into slices: slices.count is ${options.count} and slices.size ${options.size ?? 'not set'}: give at least one row a slice`,
      { details: { total, ...options } },
    );
  }
  return Array.from({ length: Math.min(options.count, Math.floor(total / size)) }, (_, i) => ({
    start: i * size,
    end: (i + 1) * size,
  }));
}
