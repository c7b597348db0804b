/** @file The bytes of a text file, decompressed where it is gzip or zstd. What is cut off or damaged is a DataError. */
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { Decompress } from 'fzstd';
import { DataError } from '../../errors.ts';
import { errorCode, fileError } from '../../files/fs.ts';
import type { FileFormat } from './detect.ts';

const CHUNK_BYTES = 256 * 1024;
/** What `zstd -d` accepts without a flag (`--long` goes beyond): a hostile header must not ask for gigabytes. */
const MAX_WINDOW_BYTES = 128 * 1024 * 1024;

/** Streams the content of a file. The chunks may be used until the next one is asked for. */
export function readBytes(path: string, format: Exclude<FileFormat, 'parquet'>): AsyncGenerator<Uint8Array> {
  switch (format) {
    case 'text':
      return plainBytes(path);
    case 'gzip':
      return gzipBytes(path);
    case 'zstd':
      return zstdBytes(path);
  }
}

async function* plainBytes(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: CHUNK_BYTES });
  } catch (error) {
    throw fileError(error, { action: 'read', path });
  }
}

async function* gzipBytes(path: string): AsyncGenerator<Uint8Array> {
  const file = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  file.on('error', (error) => gunzip.destroy(error));
  try {
    yield* file.pipe(gunzip);
  } catch (error) {
    throw damaged(path, 'gzip', error);
  } finally {
    file.destroy();
  }
}

async function* zstdBytes(path: string): AsyncGenerator<Uint8Array> {
  let blocks: Uint8Array[] = [];
  const decompress = new Decompress((block) => blocks.push(block.slice()));
  let first = true;
  const push = (chunk: Uint8Array, final: boolean): Uint8Array[] => {
    blocks = [];
    try {
      if (first && windowBytes(chunk) > MAX_WINDOW_BYTES) {
        throw new Error(`its window is larger than ${MAX_WINDOW_BYTES / 2 ** 20} MiB`);
      }
      decompress.push(chunk, final);
    } catch (error) {
      throw damaged(path, 'zstd', error);
    }
    first = false;
    return blocks;
  };
  for await (const chunk of plainBytes(path)) yield* push(chunk, false);
  yield* push(new Uint8Array(0), true);
}

/** Bytes that the first frame asks the reader to keep (RFC 8878, 3.1.1.1.2); 0 where the header does not say. */
function windowBytes(header: Uint8Array): number {
  const [m0, , , , descriptor = 0, window = 0] = header;
  const singleSegment = (descriptor & 0x20) !== 0;
  if (m0 !== 0x28 || singleSegment) return 0;
  const base = 2 ** (10 + (window >> 3));
  return base + (base / 8) * (window & 7);
}

function damaged(path: string, what: 'gzip' | 'zstd', error: unknown): Error {
  const code = errorCode(error);
  // Failures of the file itself (permission, device) keep their own message.
  if (code !== null && !code.startsWith('Z_')) return fileError(error, { action: 'read', path });
  const reason = error instanceof Error ? error.message : String(error);
  return new DataError(
    'DATA_DAMAGED',
    `Cannot read ${path}: its ${what} data are cut off or damaged (${reason}): fetch the file again`,
    { cause: error, details: { file: path, format: what } },
  );
}
