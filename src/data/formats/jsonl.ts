/**
 * @file Reads JSON Lines: one object a line, blank lines left out. Every line is a record, or a problem with its place. A file
 * that turns out to be one JSON value is read as that (whole-file.ts).
 */
import { isUtf8 } from 'node:buffer';
import { DataError } from '../../errors.ts';
import { jsonProblem } from '../../files/json-problem.ts';
import { readBytes } from './bytes.ts';
import { emptyFile, type FileFormat } from './detect.ts';
import { type DataRecord, type RecordSource, shown } from './record.ts';
import { beginsDocument, readDocument } from './whole-file.ts';

/** A longer line is no row of text but a mistake, and must not fill the memory. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;
const NEWLINE = 0x0a;

/** Streams the records of a file, which may also be one JSON list of them. DataError when it has none or is damaged. */
export async function* readJsonl(path: string, format: Exclude<FileFormat, 'parquet'>): AsyncGenerator<DataRecord> {
  let number = 0;
  let found = 0;
  for await (const bytes of linesOf(path, readBytes(path, format))) {
    number += 1;
    const start = number === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
    if (isBlank(bytes, start)) continue;
    if (found === 0 && beginsDocument(bytes.toString('utf8', start))) return yield* readDocument(path, format);
    found += 1;
    yield recordOf(start === 0 ? bytes : bytes.subarray(start), { file: path, line: number });
  }
  if (found === 0) throw emptyFile(path);
}

/** One line as a record. Never throws for what the line holds. */
export function recordOf(line: Buffer | string, source: RecordSource): DataRecord {
  const problem = (problem: Extract<DataRecord, { kind: 'problem' }>['problem'], detail: string): DataRecord => ({
    kind: 'problem',
    problem,
    field: '',
    detail,
    source,
  });
  if (typeof line !== 'string' && !isUtf8(line)) return problem('not UTF-8', 'it has bytes that are no UTF-8 text');
  const text = typeof line === 'string' ? line : line.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return problem('not JSON', jsonProblem(text, error));
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? { kind: 'record', value: value as Record<string, unknown>, source }
    : problem('not an object', `it is ${shown(value)}`);
}

/** Lines without their ends. A line may be used until the next one is asked for. */
async function* linesOf(path: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let partBytes = 0;
  let lines = 0;
  const keep = (part: Buffer): void => {
    if (part.length === 0) return;
    partBytes += part.length;
    if (partBytes > MAX_LINE_BYTES) throw tooLong(path, lines + 1);
    // Copied: the chunk belongs to its reader.
    parts.push(Buffer.from(part));
  };
  for await (const bytes of chunks) {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      let line = chunk.subarray(start, end);
      if (partBytes > 0) {
        keep(line);
        line = Buffer.concat(parts);
        parts = [];
        partBytes = 0;
      }
      lines += 1;
      yield line;
      start = end + 1;
    }
    keep(chunk.subarray(start));
  }
  if (partBytes > 0) yield Buffer.concat(parts);
}

function isBlank(bytes: Buffer, start: number): boolean {
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  }
  return true;
}

function tooLong(path: string, line: number): DataError {
  return new DataError(
    'DATA_LINE_TOO_LONG',
    `Cannot read ${path}:${line}: the line is longer than ${MAX_LINE_BYTES / 2 ** 20} MiB: give one row a line`,
    { details: { file: path, line } },
  );
}
