/** @file Reads JSONL files row by row. Every line is accounted for: a row, or a problem with its file and line. */
import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { DataError } from '../errors.ts';
import { type ParsedRow, type PreferenceRow, parseRow } from './rows.ts';

/** What to do with a row that cannot be used. */
export type BadRowRule = 'stop' | 'drop';

/** Streams the rows of all files in order. DataError for a file that is not there or has no line. */
export async function* readRows(files: readonly string[]): AsyncGenerator<ParsedRow> {
  for (const file of files) {
    if (!existsSync(file)) {
      throw new DataError('DATA_MISSING', `Cannot read ${file}: there is no such file: data.train names JSONL files`, {
        details: { file },
      });
    }
    let number = 0;
    let found = 0;
    const lines = createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY });
    for await (const raw of lines) {
      number += 1;
      const line = number === 1 ? raw.replace(/^\uFEFF/, '') : raw;
      if (line.trim() === '') continue;
      found += 1;
      yield parseRow(line, { file, line: number });
    }
    if (found === 0)
      throw new DataError('DATA_EMPTY', `Cannot read ${file}: it has no rows: give a JSONL file with one row a line`, {
        details: { file },
      });
  }
}

/** The error that a bad row is, under the rule `stop`. */
export function badRowError({ problem, field, detail, source }: Extract<ParsedRow, { kind: 'problem' }>): DataError {
  const place = field === '' ? '' : ` field "${field}":`;
  return new DataError(
    'ROW_UNUSABLE',
    `Cannot use ${source.file}:${source.line}:${place} ${problem}: ${detail}: mend the row, or set data.onBadRow to drop`,
    { details: { ...source, field, problem } },
  );
}

/** The usable rows of all files, at most `limit`; a bad one stops, or is dropped. */
export async function collectRows(
  rows: AsyncIterable<ParsedRow>,
  options: { limit: number | null; onBadRow: BadRowRule },
): Promise<PreferenceRow[]> {
  const collected: PreferenceRow[] = [];
  for await (const parsed of rows) {
    if (options.limit !== null && collected.length >= options.limit) break;
    if (parsed.kind === 'row') collected.push(parsed.row);
    else if (options.onBadRow === 'stop') throw badRowError(parsed);
  }
  return collected;
}
