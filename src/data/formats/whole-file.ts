/**
 * @file Text files that do not hold one row a line: CSV with a header, and one JSON value, which is a list of rows or holds
 * one (`{"data": [...]}`). They are read whole; where a row lies is its line (CSV) or its place in the list, from 1.
 */
import { isUtf8 } from 'node:buffer';
import { DataError } from '../../errors.ts';
import { jsonProblem } from '../../files/json-problem.ts';
import { readBytes } from './bytes.ts';
import { parseCsv } from './csv.ts';
import { emptyFile, type FileFormat } from './detect.ts';
import { type DataRecord, shown, shownFields } from './record.ts';

type TextFormat = Exclude<FileFormat, 'parquet'>;

/** A larger file would fill the memory several times over; JSON Lines and Parquet are read row by row. */
const MAX_BYTES = 512 * 1024 * 1024;
/** Fields under which exporters put the list of rows. */
const LIST_FIELDS = ['data', 'rows', 'train', 'examples', 'instances'];

/** Whether a file's name says CSV, compressed or not. */
export function isCsvName(path: string): boolean {
  return /\.csv(\.(gz|zst|zstd))?$/i.test(path);
}

/** The rows of a CSV file by its header. A field is a text, nothing where it is empty, and a list where it is JSON of one. */
export async function* readCsv(path: string, format: TextFormat): AsyncGenerator<DataRecord> {
  const { rows, problems } = parseCsv(await readText(path, format));
  const records = [
    ...rows.map(({ line, fields }): DataRecord => {
      const value = Object.fromEntries([...fields].map(([name, text]) => [name, csvValue(text)]));
      return { kind: 'record', value, source: { file: path, line } };
    }),
    ...problems.map(({ line, problem }): DataRecord => {
      const source = { file: path, line };
      return { kind: 'problem', problem: 'not of the columns', field: '', detail: problem, source };
    }),
  ];
  if (records.length === 0) throw emptyFile(path);
  yield* records.sort((a, b) => a.source.line - b.source.line);
}

function csvValue(text: string): unknown {
  if (text === '') return null;
  if (!text.startsWith('[')) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Whether the first line of a text file begins one JSON value that is the whole file. */
export function beginsDocument(line: string): boolean {
  const text = line.trim();
  if (text.startsWith('[')) return true;
  if (!text.startsWith('{')) return false;
  try {
    return listIn(JSON.parse(text)) !== null;
  } catch {
    // An object that goes on in the next line; a broken row is told apart when the whole is parsed.
    return /^\{(\s*"[^"]*"\s*:\s*[[{]?)?$/.test(text);
  }
}

/** The rows of a file that is one JSON value. DataError where it holds no list of rows. */
export async function* readDocument(path: string, format: TextFormat): AsyncGenerator<DataRecord> {
  const text = await readText(path, format);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DataError(
      'DATA_FORMAT',
      `Cannot read ${path}: it begins like one JSON value and is not one: ${jsonProblem(text, error)}: fix it, or give one object a line`,
      { cause: error, details: { file: path } },
    );
  }
  const rows = listIn(value);
  if (rows === null) {
    const fields = shownFields(Object.keys(value as object));
    throw new DataError(
      'DATA_FORMAT',
      `Cannot read ${path}: it is one JSON object with the fields ${fields}: give one object a line, a list of objects, or an object with such a list under ${LIST_FIELDS.join(', ')}`,
      { details: { file: path } },
    );
  }
  if (rows.length === 0) throw emptyFile(path);
  for (const [index, row] of rows.entries()) {
    const source = { file: path, line: index + 1 };
    yield typeof row === 'object' && row !== null && !Array.isArray(row)
      ? { kind: 'record', value: row as Record<string, unknown>, source }
      : { kind: 'problem', problem: 'not an object', field: '', detail: `it is ${shown(row)}`, source };
  }
}

/** The list of rows that a JSON value is or holds, or null. */
function listIn(value: unknown): unknown[] | null {
  if (Array.isArray(value)) return value;
  if (typeof value !== 'object' || value === null) return null;
  const fields = value as Record<string, unknown>;
  const lists = LIST_FIELDS.map((name) => fields[name]).filter((field): field is unknown[] => Array.isArray(field));
  return lists.length === 1 ? (lists[0] ?? null) : null;
}

async function readText(path: string, format: TextFormat): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of readBytes(path, format)) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw tooLarge(path);
    chunks.push(Buffer.from(chunk));
  }
  const whole = Buffer.concat(chunks);
  if (!isUtf8(whole)) {
    throw new DataError('DATA_FORMAT', `Cannot read ${path}: it has bytes that are not UTF-8 text: save it as UTF-8`, {
      details: { file: path },
    });
  }
  return whole.toString('utf8').replace(/^\uFEFF/, '');
}

function tooLarge(path: string): DataError {
  return new DataError(
    'DATA_TOO_LARGE',
    `Cannot read ${path}: CSV, and JSON other than JSON Lines, are read whole, up to ${MAX_BYTES / 2 ** 20} MiB: convert it to JSON Lines (for a list: jq -c '.[]') or Parquet`,
    { details: { file: path } },
  );
}
