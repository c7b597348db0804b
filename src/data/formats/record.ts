/** @file What every file format gives: records with their place, one after another. */
import { shownValue } from '../../errors.ts';

/** Where a record lies: the line of a text file, or the row of a Parquet file, from 1. */
export interface RecordSource {
  file: string;
  line: number;
}

/** One record: named fields, or why it has none (`detail` shows what is there). */
export type DataRecord =
  | { kind: 'record'; value: Record<string, unknown>; source: RecordSource }
  | {
      kind: 'problem';
      problem: 'not JSON' | 'not UTF-8' | 'not an object' | 'not of the columns' | 'no such column';
      field: string;
      detail: string;
      source: RecordSource;
    };

/**
 * Says which fields a reader needs of those that a file has, so that a column format reads no more. None: the file
 * cannot be used. Formats without columns do not ask.
 */
export type FieldChoice = (available: readonly string[]) => readonly string[];

/** A value as it may be shown in a message about a row. */
export function shown(value: unknown): string {
  return shownValue(value, 60);
}

/** Names of fields as they may be shown in a message: the first twenty. */
export function shownFields(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  const first = names.slice(0, 20).map((name) => (name.length > 60 ? `${name.slice(0, 57)}...` : name));
  return `${first.join(', ')}${names.length > 20 ? ` and ${names.length - 20} more` : ''}`;
}
