/**
 * @file Reads data files row by row, whatever their format: JSONL, plain or compressed, and Parquet. Every line is
 * accounted for: a row, or a problem with its file and line.
 */
import { DataError } from '../errors.ts';
import { formatOfFile } from './formats/detect.ts';
import { readJsonl } from './formats/jsonl.ts';
import { readParquet } from './formats/parquet.ts';
import type { DataRecord, FieldChoice } from './formats/record.ts';
import { neededFields, type ParsedRow, type PreferenceRow, rowOfRecord, unusedFields } from './rows.ts';

/** What to do with a row that cannot be used. */
export type BadRowRule = 'stop' | 'drop';

/** Streams the records of all files in order. DataError for a file that is missing, empty, damaged or of no format. */
export async function* readRecords(files: readonly string[], choose: FieldChoice): AsyncGenerator<DataRecord> {
  for (const file of files) {
    const format = formatOfFile(file);
    yield* format === 'parquet' ? readParquet(file, choose) : readJsonl(file, format);
  }
}

/** Streams the preference rows of all files in order. */
export async function* readRows(files: readonly string[]): AsyncGenerator<ParsedRow> {
  for (const file of files) {
    let columns: string[] = [];
    const choose: FieldChoice = (available) => {
      columns = unusedFields(available);
      return neededFields(available);
    };
    for await (const record of readRecords([file], choose)) yield rowOfRecord(record, columns);
  }
}

/** The error that a bad row is, under the rule `stop`. */
export function badRowError({ problem, field, detail, source }: Extract<ParsedRow, { kind: 'problem' }>): DataError {
  const place = field === '' ? '' : ` field "${field}":`;
  return new DataError(
    'ROW_UNUSABLE',
    `Cannot use ${source.file}:${source.line}:${place} ${problem}: ${detail}: mend the row, or leave such rows out (data.onBadRow: drop in a recipe, --on-bad-row drop for selm data)`,
    { details: { ...source, field, problem } },
  );
}

/** The usable rows of all files, at most `limit`; a bad one stops, or is dropped. */
export async function collectRows<Row extends PreferenceRow>(
  rows: AsyncIterable<ParsedRow<Row>>,
  options: { limit: number | null; onBadRow: BadRowRule },
): Promise<Row[]> {
  const collected: Row[] = [];
  for await (const parsed of rows) {
    if (options.limit !== null && collected.length >= options.limit) break;
    if (parsed.kind === 'row') collected.push(parsed.row);
    else if (options.onBadRow === 'stop') throw badRowError(parsed);
  }
  return collected;
}
