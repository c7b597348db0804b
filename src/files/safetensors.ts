/**
 * @file Reads the header of a safetensors file and holds it to every rule of the format, so that a file can neither lie
 * about where a tensor lies nor hide bytes between tensors. Data stay on disk: the reader of tensors maps the file.
 * Rules: https://github.com/huggingface/safetensors (README "Format", `safetensors/src/tensor.rs` `validate`). Stricter
 * than the reference: a key that comes twice is refused, and so are types below one byte.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { ModelError } from '../errors.ts';
import { isSafetensorsDtype, SAFETENSORS_DTYPES, type SafetensorsDtype, tensorBytes } from './dtype.ts';
import { errorCode } from './fs.ts';
import { JsonNumber, type JsonValue, parseStrictJson } from './strict-json.ts';

/** The reference's limit: more than any real model needs, little enough to hold in memory. */
export const MAX_HEADER_BYTES = 100_000_000;
export const HEADER_LENGTH_BYTES = 8;

/** Where a tensor lies: bytes `begin` (included) to `end` (excluded), counted from the file's `dataOffset`. */
export interface SafetensorsEntry {
  dtype: SafetensorsDtype;
  shape: number[];
  begin: number;
  end: number;
}

/** The checked header of one file. */
export interface SafetensorsFile {
  path: string;
  /** By tensor name, in the order of the data. */
  tensors: Map<string, SafetensorsEntry>;
  /** `__metadata__`, empty when there is none. */
  metadata: Map<string, string>;
  /** Where the data begin, in bytes from the start of the file. */
  dataOffset: number;
}

/** Reads and checks the header of one file. Throws ModelError naming the file and the tensor or field. */
export function readSafetensorsHeader(path: string): SafetensorsFile {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw unreadable(path, error);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw refused(path, 'it is not a regular file');
    return parseSafetensorsHeader(path, readHeaderBytes(path, { fd, fileBytes: stat.size }), stat.size);
  } finally {
    closeSync(fd);
  }
}

function readHeaderBytes(path: string, { fd, fileBytes }: { fd: number; fileBytes: number }): Buffer {
  const length = Buffer.alloc(HEADER_LENGTH_BYTES);
  if (readFully(fd, length, 0) < HEADER_LENGTH_BYTES) {
    throw refused(path, `it has ${fileBytes} bytes, fewer than the 8 of its header length: it is truncated`);
  }
  const headerBytes = length.readBigUInt64LE();
  if (headerBytes > BigInt(MAX_HEADER_BYTES)) {
    throw refused(path, `its header length is ${headerBytes} bytes, at most ${MAX_HEADER_BYTES} are allowed`);
  }
  // Never more memory than the file has bytes; what cannot be filled is what the file lacks.
  const header = Buffer.alloc(Math.min(Number(headerBytes), fileBytes));
  if (readFully(fd, header, HEADER_LENGTH_BYTES) < Number(headerBytes)) {
    throw refused(path, `its header length is ${headerBytes} bytes but the file has ${fileBytes}: it is truncated`);
  }
  return header;
}

/** Checks header bytes against the size of the whole file. Pure; `path` is for messages. Throws ModelError. */
export function parseSafetensorsHeader(path: string, header: Uint8Array, fileBytes: number): SafetensorsFile {
  if (header[0] !== 0x7b) throw refused(path, 'its header does not begin with "{"');
  let root: JsonValue;
  try {
    // `ignoreBOM` keeps a byte order mark in the text, where the parser refuses it.
    root = parseStrictJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header));
  } catch (error) {
    const reason = error instanceof SyntaxError ? `is not JSON: ${error.message}` : 'is not UTF-8';
    throw refused(path, `its header ${reason}`, { cause: error });
  }
  if (!(root instanceof Map)) throw refused(path, 'its header is not an object');
  const metadata = parseMetadata(path, root.get('__metadata__') ?? null);
  root.delete('__metadata__');
  const entries: [string, SafetensorsEntry][] = [];
  for (const [name, value] of root) entries.push([name, parseEntry(path, name, value)]);
  entries.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  const dataOffset = HEADER_LENGTH_BYTES + header.length;
  checkLayout(path, entries, fileBytes - dataOffset);
  return { path, tensors: new Map(entries), metadata, dataOffset };
}

function parseMetadata(path: string, value: JsonValue): Map<string, string> {
  const metadata = new Map<string, string>();
  if (value === null) return metadata;
  if (!(value instanceof Map)) throw refused(path, 'its __metadata__ is not an object', { field: '__metadata__' });
  for (const [key, text] of value) {
    if (typeof text !== 'string') {
      throw refused(path, `its __metadata__ has a value of ${JSON.stringify(key)} that is not a string`, {
        field: '__metadata__',
      });
    }
    metadata.set(key, text);
  }
  return metadata;
}

function parseEntry(path: string, name: string, value: JsonValue): SafetensorsEntry {
  if (!(value instanceof Map)) throw wrongTensor(path, name, { field: 'entry', problem: 'is not an object' });
  const dtype = value.get('dtype');
  if (typeof dtype !== 'string' || !isSafetensorsDtype(dtype)) {
    const problem = `is ${show(dtype)}, allowed are ${SAFETENSORS_DTYPES.join(', ')}`;
    throw wrongTensor(path, name, { field: 'dtype', problem });
  }
  const shape = value.get('shape');
  if (!Array.isArray(shape)) throw wrongTensor(path, name, { field: 'shape', problem: 'is not a list' });
  const offsets = value.get('data_offsets');
  if (!Array.isArray(offsets) || offsets.length !== 2) {
    throw wrongTensor(path, name, { field: 'data_offsets', problem: 'is not a list of two numbers' });
  }
  const [begin, end] = offsets.map((item) => wholeNumber(path, name, { field: 'data_offsets', item })) as [
    number,
    number,
  ];
  return { dtype, shape: shape.map((item) => wholeNumber(path, name, { field: 'shape', item })), begin, end };
}

function wholeNumber(path: string, name: string, { field, item }: { field: string; item: JsonValue }): number {
  const number = item instanceof JsonNumber && /^[0-9]+$/.test(item.text) ? Number(item.text) : Number.NaN;
  if (!Number.isSafeInteger(number)) {
    const problem = `has ${show(item)}, allowed are whole numbers from 0 to 2^53 - 1`;
    throw wrongTensor(path, name, { field, problem });
  }
  return number;
}

/** Tensors, in order of their data, must cover it without overlap and without holes. */
function checkLayout(path: string, entries: [string, SafetensorsEntry][], dataBytes: number): void {
  let expectedBegin = 0;
  for (const [name, { dtype, shape, begin, end }] of entries) {
    const field = 'data_offsets';
    if (begin !== expectedBegin) {
      const what = begin < expectedBegin ? 'overlap the tensor before' : 'leave a hole after the tensor before';
      throw wrongTensor(path, name, { field, problem: `${what}: they begin at ${begin}, not at ${expectedBegin}` });
    }
    const bytes = tensorBytes(dtype, shape);
    if (bytes === null) throw wrongTensor(path, name, { field: 'shape', problem: `[${shape}] is too large` });
    if (end - begin !== bytes) {
      const problem = `span ${end - begin} bytes, but ${dtype} [${shape}] takes ${bytes}`;
      throw wrongTensor(path, name, { field, problem });
    }
    expectedBegin = end;
  }
  if (expectedBegin !== dataBytes) {
    const what = dataBytes < expectedBegin ? 'it is truncated' : 'it has bytes that belong to no tensor';
    throw refused(
      path,
      `its tensors take ${expectedBegin} bytes but the file has ${dataBytes} after the header: ${what}`,
    );
  }
}

function readFully(fd: number, target: Buffer, position: number): number {
  let read = 0;
  while (read < target.length) {
    const count = readSync(fd, target, read, target.length - read, position + read);
    if (count === 0) break;
    read += count;
  }
  return read;
}

function show(value: JsonValue | undefined): string {
  if (value === undefined) return 'missing';
  if (value instanceof JsonNumber) return value.text;
  return typeof value === 'object' && value !== null ? 'not a plain value' : JSON.stringify(value);
}

function unreadable(path: string, cause: unknown): ModelError {
  const missing = errorCode(cause) === 'ENOENT';
  const problem = missing ? 'the file is missing' : `it cannot be opened (${errorCode(cause)})`;
  return new ModelError(
    missing ? 'WEIGHTS_MISSING' : 'WEIGHTS_UNREADABLE',
    `Cannot read weights "${path}": ${problem}`,
    {
      cause,
      details: { file: path },
    },
  );
}

function refused(
  path: string,
  problem: string,
  { field, cause }: { field?: string; cause?: unknown } = {},
): ModelError {
  return new ModelError('WEIGHTS_INVALID', `Cannot read weights "${path}": ${problem}: fetch or save the file again`, {
    cause,
    details: { file: path, field: field ?? null, problem },
  });
}

function wrongTensor(path: string, name: string, { field, problem }: { field: string; problem: string }): ModelError {
  const shown = JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}...` : name);
  return new ModelError(
    'WEIGHTS_INVALID',
    `Cannot read weights "${path}": tensor ${shown}: ${field} ${problem}: fetch or save the file again`,
    { details: { file: path, tensor: name, field, problem } },
  );
}
