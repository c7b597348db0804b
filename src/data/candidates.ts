/**
 * @file Rows to be ranked: `{prompt, responses: [text, ...]}`, or a preference row, whose chosen and rejected are the two
 * responses. The prompt and `prompt_id` are as in every other data file (rows.ts).
 */
import { DataError } from '../errors.ts';
import { type DataRecord, type RecordSource, shown } from './formats/record.ts';
import { readNamedRecords } from './known-forms.ts';
import type { BadRowRule } from './read.ts';
import { neededFields, type PreferenceRow, rowOfRecord } from './rows.ts';

/** A prompt with the texts that compete. `responses` is empty in a pair, whose texts are `chosen` and `rejected`. */
export interface CandidateRow extends PreferenceRow {
  responses: string[];
}

/** A row that has nothing to rank. */
export interface BadCandidate {
  source: RecordSource;
  field: string;
  problem: string;
  detail: string;
}

/**
 * All rows of the files, in order, that can be ranked. Under `stop` the first that cannot is a DataError with its place; under
 * `drop` `dropped` hears of each.
 */
export async function readCandidates(
  files: readonly string[],
  { onBadRow, dropped }: { onBadRow: BadRowRule; dropped?: (row: BadCandidate) => void } = { onBadRow: 'stop' },
): Promise<CandidateRow[]> {
  const choose = (available: readonly string[]): string[] =>
    available.includes('responses')
      ? ['prompt_id', 'prompt', 'messages', 'responses'].filter((name) => available.includes(name))
      : neededFields(available);
  const rows: CandidateRow[] = [];
  for await (const record of readNamedRecords(files, choose)) {
    const row = candidatesOf(record);
    if ('promptId' in row) rows.push(row);
    else if (onBadRow === 'stop') throw rowError(row);
    else dropped?.(row);
  }
  return rows;
}

function candidatesOf(record: DataRecord): CandidateRow | BadCandidate {
  if (record.kind === 'problem') return record;
  const { source } = record;
  const { chosen, rejected, ...rest } = record.value;
  const { responses } = rest;
  const listed = responses !== undefined && responses !== null;
  const parsed = rowOfRecord(listed ? { ...record, value: rest } : record);
  if (parsed.kind === 'problem') return parsed;
  if (!listed && parsed.row.chosen === null) {
    const detail = `the row has the fields ${Object.keys(record.value).join(', ')}, allowed is responses, or chosen and rejected`;
    return { source, field: 'responses', problem: 'nothing to rank', detail };
  }
  const texts = listed ? textsOf(responses) : [];
  if (texts !== null) return { ...parsed.row, responses: texts };
  const detail = `it is ${shown(responses)}, allowed is a list of texts`;
  return { source, field: 'responses', problem: 'wrong type', detail };
}

function textsOf(value: unknown): string[] | null {
  if (!Array.isArray(value) || value.length === 0) return null;
  const texts = value.filter((each): each is string => typeof each === 'string');
  return texts.length === value.length ? texts : null;
}

function rowError({ source, field, problem, detail }: BadCandidate): DataError {
  const place = field === '' ? '' : ` field "${field}":`;
  return new DataError(
    'ROW_UNUSABLE',
    `Cannot rank ${source.file}:${source.line}:${place} ${problem}: ${detail}: fix the row, or leave such rows out with --on-bad-row drop`,
    { details: { ...source, field, problem } },
  );
}
