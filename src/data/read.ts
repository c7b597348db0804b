/**
 * @file Reads preference rows, whatever the format of their files (formats/) and the names of their fields (known-forms.ts).
 * Every line is accounted for: a row, or a problem with its file and line.
 */
import { DataError } from '../errors.ts';
import type { FieldChoice } from './formats/record.ts';
import { type Columns, readNamedRecords } from './known-forms.ts';
import { neededFields, type ParsedRow, type PreferenceRow, rowOfRecord, unusedFields } from './rows.ts';

/** What to do with a row that cannot be used. */
export type BadRowRule = 'stop' | 'drop';

/** Streams the preference rows of all files in order; `columns` names fields that the files name otherwise. */
export async function* readRows(files: readonly string[], columns: Columns = {}): AsyncGenerator<ParsedRow> {
  for (const file of files) {
    let unread: string[] = [];
    const choose: FieldChoice = (available) => {
      unread = unusedFields(available);
      return neededFields(available);
    };
    for await (const record of readNamedRecords([file], choose, columns)) yield rowOfRecord(record, unread);
  }
}

/** The error that a bad row is, under the rule `stop`. */
export function badRowError({ problem, field, detail, source }: Extract<ParsedRow, { kind: 'problem' }>): DataError {
  const place = field === '' ? '' : ` field "${field}":`;
  return new DataError(
    'ROW_UNUSABLE',
    `Cannot use ${source.file}:${source.line}:${place} ${problem}: ${detail}: fix the row, or leave such rows out (data.onBadRow: drop in a recipe, --on-bad-row drop for selm data)`,
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
