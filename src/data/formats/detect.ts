/**
 * @file Which format a file has: told by its first bytes, because downloaded files lose their names. A name that says
 * otherwise is refused: one of the two is a mistake.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { DataError } from '../../errors.ts';
import { errorCode, fileError } from '../../files/fs.ts';

/** What a file is made of. */
export type FileFormat = 'text' | 'gzip' | 'zstd' | 'parquet';

const NAMES: Record<FileFormat, string> = {
  text: 'JSONL',
  gzip: 'gzip-compressed JSONL',
  zstd: 'zstd-compressed JSONL',
  parquet: 'Parquet',
};

/** Extensions that promise a format; others (`.txt`, none) promise nothing. */
const EXTENSIONS: readonly [RegExp, FileFormat][] = [
  [/\.(jsonl|ndjson|json)$/i, 'text'],
  [/\.gz$/i, 'gzip'],
  [/\.(zst|zstd)$/i, 'zstd'],
  [/\.parquet$/i, 'parquet'],
];

/** The format that a file's name promises, or null. */
export function formatOfName(path: string): FileFormat | null {
  return EXTENSIONS.find(([pattern]) => pattern.test(path))?.[1] ?? null;
}

/** The format of a file by its content. DataError: DATA_MISSING, DATA_EMPTY, DATA_FORMAT. */
export function formatOfFile(path: string): FileFormat {
  const start = firstBytes(path);
  if (start.length === 0) throw emptyFile(path);
  const format = formatOfBytes(start);
  const promised = formatOfName(path);
  if (promised === null || promised === format) return format;
  const looks = format === 'text' ? JSON.stringify(start.toString('latin1')) : NAMES[format];
  throw new DataError(
    'DATA_FORMAT',
    `Cannot read ${path}: its name says ${NAMES[promised]}, but it begins ${format === 'text' ? 'with' : 'as'} ${looks}: give "${basename(path)}" the extension of what it holds, or fetch it again`,
    { details: { file: path, promised, found: format } },
  );
}

/** The error of a file without rows. */
export function emptyFile(path: string): DataError {
  return new DataError(
    'DATA_EMPTY',
    `Cannot read ${path}: it has no rows: give a file with one JSON object a line, or Parquet`,
    { details: { file: path } },
  );
}

function formatOfBytes(start: Buffer): FileFormat {
  if (start[0] === 0x1f && start[1] === 0x8b) return 'gzip';
  if (start.length >= 4) {
    if (start.toString('latin1', 0, 4) === 'PAR1') return 'parquet';
    const word = start.readUInt32LE();
    // A frame, or one of the 16 kinds of skippable frame that some writers put first (RFC 8878, 3.1).
    if (word === 0xfd2fb528 || (word & 0xfffffff0) >>> 0 === 0x184d2a50) return 'zstd';
  }
  return 'text';
}

function firstBytes(path: string): Buffer {
  try {
    const fd = openSync(path, 'r');
    try {
      if (fstatSync(fd).isDirectory()) {
        throw new DataError('DATA_MISSING', `Cannot read ${path}: it is a folder: name the files in it`, {
          details: { file: path },
        });
      }
      const bytes = Buffer.alloc(8);
      return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENOTDIR')
      throw fileError(error, { action: 'read', path });
    throw new DataError(
      'DATA_MISSING',
      `Cannot read ${path}: there is no such file: data files are JSONL (also .gz or .zst) or Parquet`,
      { cause: error, details: { file: path } },
    );
  }
}
