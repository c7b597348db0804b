/** @file Slices of the data: contiguous, equal, in file order, as the authors cut theirs (61,135 rows into 3 or 4). */
import { RecipeError } from '../errors.ts';

/** Rows [start, end). */
export interface Slice {
  start: number;
  end: number;
}

/** How to cut: `size` rows a slice, or a `share` of all rows, or (both null) `count` equal parts. */
export interface SliceOptions {
  count: number;
  size: number | null;
  share: number | null;
}

/**
 * Cuts `total` rows into equal slices, their length rounded down, at most `count` of them; rows left over at the end are
 * not used. RecipeError when not even one slice fits.
 */
export function sliceRows(total: number, { count, size, share }: SliceOptions): Slice[] {
  const length = size ?? (share === null ? Math.floor(total / count) : rowsOfShare(total, share));
  if (length < 1 || length > total) {
    const how = size !== null ? `slices.size is ${size}` : share !== null ? `slices.share is ${share}` : '';
    throw new RecipeError(
      'SLICES_TOO_LARGE',
      `Cannot cut ${total} rows into slices: ${how === '' ? `slices.count is ${count}` : how}: give at least one row a slice, and no more than there are`,
      { details: { total, count, size, share } },
    );
  }
  return Array.from({ length: Math.min(count, Math.floor(total / length)) }, (_, i) => ({
    start: i * length,
    end: (i + 1) * length,
  }));
}

/** Rounded down, but 29 % of 100 is 29 although 0.29 * 100 is a little less in binary. */
function rowsOfShare(total: number, share: number): number {
  return Math.floor(total * share + 1e-9);
}
