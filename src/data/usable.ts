/**
 * @file The usable rows of a data set, in file order and under ids of their own. Nothing is kept but the hashes of the ids:
 * whoever needs a part of the rows again reads the files again, and gets the same ones under the same ids.
 */
import { IdCounter } from './id-counter.ts';
import { type BadRowRule, badRowError } from './read.ts';
import type { ParsedRow, PreferenceRow } from './rows.ts';
import type { Slice } from './slices.ts';

/** Which rows are usable. */
export interface UsableOptions {
  onBadRow: BadRowRule;
  /** At most so many usable rows; null: all. */
  limit: number | null;
}

/** Hears of every row. */
export interface RowListener {
  read?(): void;
  dropped?(row: Extract<ParsedRow, { kind: 'problem' }>): void;
  /** The row's prompt was read before. */
  repeated?(): void;
}

/**
 * Streams the usable rows. Under `stop` the first bad row is a DataError. Responses are kept by prompt id, so a prompt that
 * comes again gets an id of its own: `id#2`.
 */
export async function* usableRows<Row extends PreferenceRow>(
  rows: AsyncIterable<ParsedRow<Row>>,
  { onBadRow, limit }: UsableOptions,
  listener: RowListener = {},
): AsyncGenerator<Row> {
  const ids = new IdCounter();
  let count = 0;
  for await (const parsed of rows) {
    if (limit !== null && count >= limit) return;
    listener.read?.();
    if (parsed.kind === 'problem') {
      if (onBadRow === 'stop') throw badRowError(parsed);
      listener.dropped?.(parsed);
      continue;
    }
    count += 1;
    const { promptId } = parsed.row;
    const times = ids.add(promptId);
    if (times === 1) {
      yield parsed.row;
      continue;
    }
    listener.repeated?.();
    let own = `${promptId}#${times}`;
    for (let next = times + 1; ids.add(own) > 1; next++) own = `${promptId}#${next}`;
    yield { ...parsed.row, promptId: own };
  }
}

/** The usable rows of one slice. */
export async function rowsOfSlice(
  rows: AsyncIterable<ParsedRow>,
  options: UsableOptions,
  { start, end }: Slice,
): Promise<PreferenceRow[]> {
  const found: PreferenceRow[] = [];
  let index = 0;
  if (end <= start) return found;
  for await (const row of usableRows(rows, options)) {
    if (index >= start) found.push(row);
    index += 1;
    if (index >= end) break;
  }
  return found;
}
