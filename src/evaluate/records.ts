/**
 * @file Files of results from elsewhere as records, in every format that data are read in. A value of a CSV file is the text as it
 * stands there (an output may be empty, or look like a list), one of JSON what it is: `numberOf` and `textOf` read both.
 */
import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { parseCsv } from '../data/formats/csv.ts';
import { readRecords } from '../data/formats/read.ts';
import type { DataRecord } from '../data/formats/record.ts';
import { DataError } from '../errors.ts';
import { fileError } from '../files/fs.ts';

/** A record and where it stands: the line of the file, or the place in its array, from 1. */
export interface ResultRecord {
  line: number;
  value: Record<string, unknown>;
}

/** What a file holds; lines that are no record are named. */
export interface ResultFile {
  records: ResultRecord[];
  problems: { line: number; problem: string }[];
}

/**
 * Reads a whole file of results. What Python's json.dumps writes for no number (NaN, Infinity) is null, since its programs write these
 * files. DataError or FileError where it cannot be read; a bad line is a problem.
 */
export async function readResultFile(path: string): Promise<ResultFile> {
  const ending = extname(path).toLowerCase();
  if (ending === '.csv') return csvFile(path);
  const text = ['.json', '.jsonl'].includes(ending) ? readText(path) : '';
  const mended = withoutNaN(text);
  if (mended !== text) return fileOfText(mended);
  const file: ResultFile = { records: [], problems: [] };
  for await (const record of readRecords([path], (available) => available)) addRecord(file, record);
  return file;
}

/** A text of JSON with null in place of the words that JSON has not; those inside of strings stay. */
function withoutNaN(text: string): string {
  return text.replaceAll(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g, (found) =>
    found.startsWith('"') ? found : 'null',
  );
}

/** The records of one JSON list, or of JSON Lines. */
function fileOfText(text: string): ResultFile {
  const whole = parsed(text);
  const values = Array.isArray(whole)
    ? whole.map((value: unknown, place) => ({ line: place + 1, value }))
    : text.split('\n').flatMap((line, place) => (line.trim() === '' ? [] : [{ line: place + 1, value: parsed(line) }]));
  const file: ResultFile = { records: [], problems: [] };
  for (const { line, value } of values) {
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      file.records.push({ line, value: { ...value } });
    else file.problems.push({ line, problem: 'it is not a JSON object' });
  }
  return file;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** One JSON value that is the whole file; undefined where it is none (it may be JSON Lines). FileError. */
export function readJson(path: string): unknown {
  return parsed(readText(path));
}

/** A number, also one that is written as a text; null for nothing, NaN for what is no number. */
export function numberOf(value: unknown): number | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return Number.NaN;
  const text = value.trim();
  if (text === '' || /^(nan|none|null)$/i.test(text)) return null;
  return Number(text);
}

/** A text, or null. */
export function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function csvFile(path: string): ResultFile {
  const { columns, rows, problems } = parseCsv(readText(path));
  if (columns.length === 0) {
    throw new DataError('DATA_EMPTY', `Cannot read ${path}: it is empty: give a CSV file with a header`, {
      details: { file: path },
    });
  }
  return { records: rows.map(({ line, fields }) => ({ line, value: Object.fromEntries(fields) })), problems };
}

function addRecord(file: ResultFile, record: DataRecord): void {
  const { line } = record.source;
  if (record.kind === 'record') file.records.push({ line, value: record.value });
  else file.problems.push({ line, problem: `it is ${record.problem}: ${record.detail}` });
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError(error, { action: 'read', path });
  }
}
