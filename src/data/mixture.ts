/**
 * @file Several sources in one stream of rows: how many rows each gives, by shares or by counts, and in which order. Rows of
 * a mixture alternate in proportion, so that each slice of the stream has the shares of the whole.
 */
import { basename } from 'node:path';
import { DataError } from '../errors.ts';
import type { ParsedRow } from './rows.ts';

/** One entry of `data.train`: a file, or all files of a name on the Hub. */
export interface DataSource {
  /** What its metrics are called by. */
  name: string;
  files: readonly string[];
}

/** What a recipe says of the sources: their shares of all rows (which sum to 1), or their numbers of rows. */
export type Mixture = { kind: 'shares'; shares: readonly number[] } | { kind: 'counts'; counts: readonly number[] };

/**
 * Rows that each source gives, in their order. Shares take as many rows as the scarcest source allows, at most `limit` in
 * all, each row once. DataError MIXTURE_TOO_LARGE where a source has too few.
 */
export function mixtureCounts(
  mixture: Mixture,
  { usable, names, limit }: { usable: readonly number[]; names: readonly string[]; limit: number | null },
): number[] {
  if (mixture.kind === 'counts') {
    for (const [i, count] of mixture.counts.entries()) {
      const there = usable[i] ?? 0;
      if (count <= there) continue;
      const problem = `data.counts asks for ${count} rows of ${names[i]}, which has ${there} that can be used: lower it`;
      throw tooLarge(problem, { source: names[i], count, usable: there });
    }
    return [...mixture.counts];
  }
  const { shares } = mixture;
  const empty = usable.indexOf(0);
  if (empty >= 0)
    throw tooLarge(`${names[empty]} has no usable row: leave it out of data.train`, { source: names[empty] });
  // 0.3 of 100 is 30, although a product in binary may be a little less.
  const floor = (value: number): number => Math.floor(value + 1e-6);
  const most = Math.min(...shares.map((share, i) => floor((usable[i] ?? 0) / share)));
  const total = Math.min(most, limit ?? most);
  return shares.map((share) => floor(total * share));
}

/**
 * The rows of several sources in one stream: `counts[i]` usable ones of the source i. At each place stands the source that is
 * furthest behind its count. Rows that cannot be used are passed on when they come, and do not count.
 */
export async function* mixRows(
  sources: readonly AsyncIterable<ParsedRow>[],
  counts: readonly number[],
): AsyncGenerator<ParsedRow> {
  const open = sources.map((rows, i) => ({ rows: rows[Symbol.asyncIterator](), count: counts[i] ?? 0, taken: 0 }));
  try {
    for (;;) {
      const left = open.filter(({ taken, count }) => taken < count);
      const [next] = left.toSorted((a, b) => (a.taken + 0.5) / a.count - (b.taken + 0.5) / b.count);
      if (next === undefined) return;
      const { done, value } = await next.rows.next();
      if (done === true) next.taken = next.count;
      else {
        if (value.kind === 'row') next.taken += 1;
        yield value;
      }
    }
  } finally {
    for (const { rows } of open) await rows.return?.();
  }
}

/** The rows of one source after those of another. */
export async function* inTurn(sources: readonly AsyncIterable<ParsedRow>[]): AsyncGenerator<ParsedRow> {
  for (const rows of sources) yield* rows;
}

/** Rows with the name of their source. */
export async function* namedRows(rows: AsyncIterable<ParsedRow>, dataset: string): AsyncGenerator<ParsedRow> {
  for await (const parsed of rows)
    yield parsed.kind === 'row' ? { ...parsed, row: { ...parsed.row, dataset } } : parsed;
}

/** Files of this machine as sources, one each. */
export function sourcesOfFiles(files: readonly string[]): DataSource[] {
  const names = sourceNames(files);
  return files.map((file, i) => ({ name: names[i] ?? '', files: [file] }));
}

/** Names of sources by their places, fit for the name of a metric: `prefs` of `rows/prefs.jsonl`; equal ones are numbered. */
export function sourceNames(places: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return places.map((place) => {
    const file = basename(place).replace(/(\.(jsonl|json|csv|parquet|gz|zst))+$/i, '');
    const name = file.replaceAll(/[^A-Za-z0-9._-]+/g, '-') || 'data';
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    return times === 1 ? name : `${name}-${times}`;
  });
}

/** A line for the audit: `Sources: prefs 700 of 1000 rows, chats 300 of 300`. */
export function sourcesLine(names: readonly string[], usable: readonly number[], counts: readonly number[]): string {
  const parts = names.map((name, i) => `${name} ${counts[i]} of ${usable[i]} usable rows`);
  return `Sources: ${parts.join(', ')}`;
}

function tooLarge(problem: string, details: Record<string, unknown>): DataError {
  return new DataError('MIXTURE_TOO_LARGE', `Cannot mix the training data: ${problem}`, { details });
}
