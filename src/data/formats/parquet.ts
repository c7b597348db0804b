/**
 * @file Reads Parquet: the needed columns, one row group (or, where the file has page indexes, a part of one) at a time.
 * Nested columns become objects and lists. The file is untrusted: sizes that it states are checked before they are used.
 */
import { open } from 'node:fs/promises';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors as packaged } from 'hyparquet-compressors';
import { DataError, SelmError } from '../../errors.ts';
import { errorCode, fileError } from '../../files/fs.ts';
import { emptyFile } from './detect.ts';
import { withoutEchoes } from './late-rejections.ts';
import type { DataRecord, FieldChoice } from './record.ts';

/** Rows decoded at once where the file lets a part of a row group be read. */
const ROWS_AT_ONCE = 1024;
/** Text of one row group that is decoded as a whole: it is in memory then, about five times over (docs/LOG.md). */
const MAX_GROUP_BYTES = 512 * 1024 * 1024;
const MAX_PAGE_BYTES = 256 * 1024 * 1024;
const MAX_FOOTER_BYTES = 64 * 1024 * 1024;

type RowGroup = FileMetaData['row_groups'][number];
type Decompressor = (input: Uint8Array, outputLength: number) => Uint8Array;

/** Streams the rows of a file, with the fields that `choose` names. DataError for what cannot be read. */
export async function* readParquet(path: string, choose: FieldChoice): AsyncGenerator<DataRecord> {
  const file = await openBuffer(path);
  try {
    const metadata = await readMetadata(path, file);
    const available = columnNames(metadata);
    const columns = [...choose(available)];
    if (columns.length === 0) throw withoutColumns(path, available);
    let line = 0;
    for (const [index, group] of metadata.row_groups.entries()) {
      const rowsInGroup = Number(group.num_rows);
      const step = stepOf(path, group, { index, columns });
      for (let start = 0; start < rowsInGroup; start += step) {
        const end = Math.min(start + step, rowsInGroup);
        const rows = await readRange(path, file, {
          metadata,
          index,
          columns,
          rowStart: line,
          rowEnd: line + end - start,
        });
        for (const value of rows) {
          line += 1;
          yield { kind: 'record', value, source: { file: path, line } };
        }
      }
    }
    if (line === 0) throw emptyFile(path);
  } finally {
    await file.close();
  }
}

interface OpenBuffer extends AsyncBuffer {
  /** Whether a read is under way. */
  isBusy(): boolean;
  close(): Promise<void>;
}

async function openBuffer(path: string): Promise<OpenBuffer> {
  try {
    const handle = await open(path, 'r');
    const { size } = await handle.stat();
    let reads = 0;
    return {
      byteLength: size,
      isBusy: () => reads > 0,
      async slice(start, end = size) {
        if (!(start >= 0 && start <= end && end <= size)) throw new RangeError(`bytes ${start} to ${end} of ${size}`);
        const buffer = new ArrayBuffer(end - start);
        reads += 1;
        const { bytesRead } = await handle.read(new Uint8Array(buffer), 0, end - start, start).finally(() => {
          reads -= 1;
        });
        if (bytesRead < end - start) throw new RangeError(`only ${bytesRead} of ${end - start} bytes are there`);
        return buffer;
      },
      close: () => handle.close(),
    };
  } catch (error) {
    throw fileError(error, { action: 'read', path });
  }
}

async function readMetadata(path: string, file: AsyncBuffer): Promise<FileMetaData> {
  const { byteLength } = file;
  let metadata: FileMetaData;
  try {
    if (byteLength < 12) throw new Error(`it has ${byteLength} bytes`);
    const tail = new DataView(await file.slice(byteLength - 8, byteLength));
    // The last eight bytes: length of the footer, then the magic number again.
    if (tail.getUint32(4, true) !== 0x31524150) throw new Error('its end is missing');
    const footerBytes = tail.getUint32(0, true);
    if (footerBytes > Math.min(byteLength - 12, MAX_FOOTER_BYTES))
      throw new Error(`its footer says ${footerBytes} bytes`);
    metadata = await parquetMetadataAsync(file, { geoparquet: false });
  } catch (error) {
    throw damaged(path, error, 'its footer');
  }
  const rows = metadata.row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0);
  if (!(rows >= 0) || rows !== Number(metadata.num_rows)) {
    throw damaged(path, new Error(`${rows} rows in its groups, ${metadata.num_rows} in all`), 'its footer');
  }
  return metadata;
}

/** Names of the top-level fields. The first element is the root. */
function columnNames({ schema }: FileMetaData): string[] {
  const names: string[] = [];
  let at = 1;
  const skip = (): void => {
    const children = schema[at]?.num_children ?? 0;
    at += 1;
    for (let child = 0; child < children && at < schema.length; child++) skip();
  };
  while (at < schema.length) {
    const name = schema[at]?.name;
    if (name !== undefined) names.push(name);
    skip();
  }
  return names;
}

/** Rows to decode at once of a row group. Throws where only the whole can be read and it is too large. */
function stepOf(path: string, group: RowGroup, at: { index: number; columns: readonly string[] }): number {
  const chunks = group.columns.filter(({ meta_data }) => at.columns.includes(meta_data?.path_in_schema?.[0] ?? ''));
  if (chunks.every(({ offset_index_offset, offset_index_length }) => offset_index_offset && offset_index_length)) {
    return ROWS_AT_ONCE;
  }
  const bytes = chunks.reduce((sum, { meta_data }) => sum + Number(meta_data?.total_uncompressed_size ?? 0), 0);
  if (bytes <= MAX_GROUP_BYTES) return Math.max(1, Number(group.num_rows));
  throw new DataError(
    'PARQUET_GROUP_TOO_LARGE',
    `Cannot read ${path}: row group ${at.index} holds ${Math.round(bytes / 2 ** 20)} MiB in one piece, at most ${MAX_GROUP_BYTES / 2 ** 20} are read: write it again with smaller row groups, for example pyarrow's write_table(..., row_group_size=10000)`,
    { details: { file: path, rowGroup: at.index, bytes } },
  );
}

async function readRange(
  path: string,
  file: OpenBuffer,
  range: { metadata: FileMetaData; index: number; columns: string[]; rowStart: number; rowEnd: number },
): Promise<Record<string, unknown>[]> {
  const { index, ...options } = range;
  try {
    const rows = await withoutEchoes(
      () => parquetReadObjects({ ...options, file, compressors, useOffsetIndex: true }),
      file.isBusy,
    );
    if (rows.length !== range.rowEnd - range.rowStart)
      throw new Error(`${rows.length} rows in place of ${range.rowEnd - range.rowStart}`);
    return rows;
  } catch (error) {
    throw damaged(path, error, `row group ${index}, columns ${range.columns.join(', ')}`);
  }
}

/** A page's stated size is what the decompressor would allocate: bounded here. Node's own codecs where it has them. */
function bounded(decompress: Decompressor): Decompressor {
  return (input, outputLength) => {
    if (!(outputLength >= 0 && outputLength <= MAX_PAGE_BYTES)) throw new RangeError(`a page of ${outputLength} bytes`);
    return decompress(input, outputLength);
  };
}

const compressors = {
  ...Object.fromEntries(Object.entries(packaged).map(([codec, decompress]) => [codec, bounded(decompress)])),
  GZIP: bounded((input, length) => gunzipSync(input, { maxOutputLength: Math.max(1, length) })),
  BROTLI: bounded((input, length) => brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) })),
};

function withoutColumns(path: string, available: readonly string[]): DataError {
  return new DataError(
    'DATA_COLUMNS',
    `Cannot read ${path}: it has the columns ${available.join(', ') || '(none)'}: needed are chosen and rejected (with prompt, or the prompt in both), or prompt alone, or messages: name those that are theirs with data.columns, such as { prompt: ${available[0] ?? 'question'} }`,
    { details: { file: path, columns: available } },
  );
}

function damaged(path: string, error: unknown, place: string): Error {
  if (error instanceof SelmError) return error;
  if (errorCode(error)?.startsWith('E') && !errorCode(error)?.startsWith('ERR_'))
    return fileError(error, { action: 'read', path });
  const message = error instanceof Error ? error.message : String(error);
  return new DataError(
    'DATA_DAMAGED',
    `Cannot read ${path}: ${place} is cut off or damaged (${message.replace(/^parquet /, '')}): fetch the file again`,
    { cause: error, details: { file: path, format: 'parquet', place } },
  );
}
