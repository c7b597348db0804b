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

/** Reads a whole file of results. DataError or FileError where it cannot be read; a bad line is a problem. */
export async function readResultFile(path: string): Promise<ResultFile> {
  if (extname(path).toLowerCase() === '.csv') return csvFile(path);
  const file: ResultFile = { records: [], problems: [] };
  for await (const record of readRecords([path], (available) => available)) addRecord(file, record);
  return file;
}

/** One JSON value that is the whole file; undefined where it is none (it may be JSON Lines). FileError. */
export function readJson(path: string): unknown {
  const text = readText(path);
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
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
