/** @file Which rows of a benchmark are asked: the first readable ones of each group. */
import type { Benchmark, BenchmarkItem } from './benchmark.ts';

/** A row of a data set and its place in its file, from 1. */
export interface SourceRow {
  line: number;
  value: Readonly<Record<string, unknown>>;
}

/** What rows are read as. */
export interface ReadRows {
  /** Rows to ask, in their order. */
  asked: { line: number; item: BenchmarkItem }[];
  /** Rows that would be asked if they could be read. */
  unusable: { line: number; problem: string }[];
  /** All that can be read, asked or not. */
  readable: BenchmarkItem[];
}

/** Reads all rows; the first `limit` of each group are to be asked, where there are no groups the first ones. */
export function readRows(
  benchmark: Benchmark,
  rows: readonly SourceRow[],
  limit: number = Number.POSITIVE_INFINITY,
): ReadRows {
  const read: ReadRows = { asked: [], unusable: [], readable: [] };
  const rowsOfGroup = new Map<string, number>();
  for (const { line, value } of rows) {
    const item = benchmark.readItem(value);
    const group = 'problem' in item ? '' : (item.groups?.[0] ?? '');
    const place = rowsOfGroup.get(group) ?? 0;
    rowsOfGroup.set(group, place + 1);
    if (!('problem' in item)) read.readable.push(item);
    if (place >= limit) continue;
    if ('problem' in item) read.unusable.push({ line, problem: item.problem });
    else read.asked.push({ line, item });
  }
  return read;
}

/** Rows that can be shown as examples. */
export function readExamples(benchmark: Benchmark, rows: readonly SourceRow[]): BenchmarkItem[] {
  return readRows(benchmark, rows).readable.filter(({ target }) => target !== null);
}
