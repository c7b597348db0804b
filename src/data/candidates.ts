/**
 * @file Rows to be ranked: `{prompt, responses: [text, ...]}`, or a preference row, whose chosen and rejected are the two
 * responses. The prompt and `prompt_id` are as in every other data file (rows.ts).
 */
import { DataError } from '../errors.ts';
import { type DataRecord, type RecordSource, shown } from './formats/record.ts';
import { readRecords } from './read.ts';
import { neededFields, type PreferenceRow, rowOfRecord } from './rows.ts';

/** A prompt with the texts that compete. `responses` is empty in a pair, whose texts are `chosen` and `rejected`. */
export interface CandidateRow extends PreferenceRow {
  responses: string[];
}

/** All rows of the files, in order. DataError for the first that has nothing to rank, with its place. */
export async function readCandidates(files: readonly string[]): Promise<CandidateRow[]> {
  const choose = (available: readonly string[]): string[] =>
    available.includes('responses')
      ? ['prompt_id', 'prompt', 'messages', 'responses'].filter((name) => available.includes(name))
      : neededFields(available);
  const rows: CandidateRow[] = [];
  for await (const record of readRecords(files, choose)) rows.push(candidatesOf(record));
  return rows;
}

function candidatesOf(record: DataRecord): CandidateRow {
  if (record.kind === 'problem')
    throw rowError(record.source, { field: '', problem: record.problem, detail: record.detail });
  const { chosen, rejected, ...rest } = record.value;
  const { responses } = rest;
  const listed = responses !== undefined && responses !== null;
  const parsed = rowOfRecord(listed ? { ...record, value: rest } : record);
  if (parsed.kind === 'problem') throw rowError(parsed.source, parsed);
  if (listed) return { ...parsed.row, responses: textsOf(responses, record.source) };
  if (parsed.row.chosen !== null) return { ...parsed.row, responses: [] };
  const detail = `the row has the fields ${Object.keys(record.value).join(', ')}, allowed is responses, or chosen and rejected`;
  throw rowError(record.source, { field: 'responses', problem: 'nothing to rank', detail });
}

function textsOf(value: unknown, source: RecordSource): string[] {
  if (Array.isArray(value) && value.length > 0) {
    const texts = value.filter((each): each is string => typeof each === 'string');
    if (texts.length === value.length) return texts;
  }
  const detail = `it is ${shown(value)}, allowed is a list of texts`;
  throw rowError(source, { field: 'responses', problem: 'wrong type', detail });
}

function rowError(
  source: RecordSource,
  { field, problem, detail }: { field: string; problem: string; detail: string },
): DataError {
  const place = field === '' ? '' : ` field "${field}":`;
  return new DataError(
    'ROW_UNUSABLE',
    `Cannot rank ${source.file}:${source.line}:${place} ${problem}: ${detail}: mend the row`,
    {
      details: { ...source, field, problem },
    },
  );
}
