/**
 * @file Writes safetensors files tensor by tensor, byte for byte as the reference writer does: largest element type
 * first, then by name, header padded with spaces to 8 bytes. A tensor may come in slices, so that memory stays bounded and
 * no array is larger than JavaScript allows; all that is written is hashed on its way.
 */
import { createHash } from 'node:crypto';
import { ModelError } from '../errors.ts';
import { elementBytes, SAFETENSORS_DTYPES, type SafetensorsDtype, tensorBytes } from './dtype.ts';
import { type Fs, fileError, nodeFs, writeAll } from './fs.ts';
import type { FileDigest } from './hash.ts';
import { HEADER_LENGTH_BYTES, MAX_HEADER_BYTES } from './safetensors.ts';

/** A tensor to write. */
export interface TensorToWrite {
  name: string;
  dtype: SafetensorsDtype;
  shape: readonly number[];
  /** Little-endian elements in row-major order; or a function, called when their turn comes, of slices in that order. */
  bytes: Uint8Array | (() => Iterable<Uint8Array>);
}

/** Options of `writeSafetensors`. */
export interface WriteSafetensorsOptions {
  /** @default the real file system */
  fs?: Fs;
}

/**
 * Writes one file and fsyncs it; its folder and an atomic rename are the caller's (`commitDirectory`). Gives its size and
 * hash, so that nobody has to read it again for them.
 * Throws ModelError for tensors that cannot be written and FileError for the disk's refusals.
 */
export function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  metadata: Iterable<readonly [string, string]> = [],
  { fs = nodeFs }: WriteSafetensorsOptions = {},
): FileDigest {
  const ordered = [...tensors].sort(referenceOrder);
  const { header, dataBytes } = buildHeader(path, ordered, metadata);
  const bytesNeeded = HEADER_LENGTH_BYTES + header.length + dataBytes;
  const hash = createHash('sha256');
  try {
    const fd = fs.openSync(path, 'w');
    try {
      const length = Buffer.alloc(HEADER_LENGTH_BYTES);
      length.writeBigUInt64LE(BigInt(header.length));
      const write = (bytes: Uint8Array): void => {
        writeAll(fd, bytes, fs);
        hash.update(bytes);
      };
      write(length);
      write(header);
      for (const tensor of ordered) writeTensor(path, tensor, write);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    throw fileError(error, { action: 'write', path, bytesNeeded }, fs);
  }
  return { bytes: bytesNeeded, sha256: hash.digest('hex') };
}

/** Largest alignment first, then by name in order of UTF-8 bytes. */
function referenceOrder(a: TensorToWrite, b: TensorToWrite): number {
  const rank = SAFETENSORS_DTYPES.indexOf(b.dtype) - SAFETENSORS_DTYPES.indexOf(a.dtype);
  return rank !== 0 ? rank : Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
}

function buildHeader(
  path: string,
  tensors: TensorToWrite[],
  metadata: Iterable<readonly [string, string]>,
): { header: Buffer; dataBytes: number } {
  const entries: string[] = [];
  const names = new Set<string>();
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    if (name === '__metadata__' || names.has(name) || /\p{Surrogate}/u.test(name)) {
      throw unwritable(path, name, names.has(name) ? 'its name comes twice' : 'its name is not allowed');
    }
    names.add(name);
    const sane = shape.every((size) => Number.isSafeInteger(size) && size >= 0);
    const bytes = sane ? tensorBytes(dtype, shape) : null;
    if (bytes === null) throw unwritable(path, name, `its shape [${shape}] is not allowed`);
    const info = { dtype, shape, data_offsets: [offset, offset + bytes] };
    entries.push(`${JSON.stringify(name)}:${JSON.stringify(info)}`);
    offset += bytes;
  }
  const facts = [...new Map(metadata)].map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)}`);
  if (facts.length > 0) entries.unshift(`"__metadata__":{${facts.join(',')}}`);
  const json = Buffer.from(`{${entries.join(',')}}`, 'utf8');
  const header = Buffer.alloc(Math.ceil(json.length / HEADER_LENGTH_BYTES) * HEADER_LENGTH_BYTES, ' ');
  json.copy(header);
  if (header.length > MAX_HEADER_BYTES) {
    throw new ModelError(
      'WEIGHTS_UNWRITABLE',
      `Cannot write weights "${path}": the header takes ${header.length} bytes, at most ${MAX_HEADER_BYTES} are allowed`,
      { details: { file: path } },
    );
  }
  return { header, dataBytes: offset };
}

function writeTensor(
  path: string,
  { name, dtype, shape, bytes }: TensorToWrite,
  write: (bytes: Uint8Array) => void,
): void {
  let written = 0;
  for (const slice of typeof bytes === 'function' ? bytes() : [bytes]) {
    write(slice);
    written += slice.length;
  }
  const expected = shape.reduce<number>((product, size) => product * size, elementBytes(dtype));
  if (written === expected) return;
  throw unwritable(path, name, `it has ${written} bytes, but ${dtype} [${shape}] takes ${expected}`);
}

function unwritable(path: string, name: string, problem: string): ModelError {
  return new ModelError(
    'WEIGHTS_UNWRITABLE',
    `Cannot write weights "${path}": tensor ${JSON.stringify(name)}: ${problem}`,
    {
      details: { file: path, tensor: name, problem },
    },
  );
}
