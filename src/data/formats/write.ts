/** @file Writes rows as JSONL (plain or gzip) or Parquet, by the name of the file. zstd is read, not written: Node 20 has no encoder. */

import { once } from 'node:events';
import { closeSync, createWriteStream, openSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

import { fileWriter, ParquetWriter, type SchemaElement } from 'hyparquet-writer';
import { DataError } from '../../errors.ts';
import { writeAll } from '../../files/fs.ts';
import { type Form, type FormedRow, isConversation } from '../forms.ts';
import { formatOfName } from './detect.ts';

/** Takes rows one after the other; `finish` when all are in, `abandon` when they will not be. */
export interface RowWriter {
  write(row: FormedRow): Promise<void> | void;
  finish(): Promise<void>;
  abandon(): void;
}

export type WrittenFormat = 'text' | 'gzip' | 'parquet';

/** The format that a name asks for. DataError where there is none, or one that cannot be written. */
export function writtenFormat(path: string): WrittenFormat {
  const format = formatOfName(path);
  if (format !== null && format !== 'zstd') return format;
  throw new DataError(
    'DATA_FORMAT',
    `Cannot write ${path}: its name says ${format === null ? 'no format' : 'zstd, which is only read'}: end it with .jsonl, .jsonl.gz or .parquet`,
    { details: { file: path } },
  );
}

/** Opens a file for rows of one form. */
export function openRowWriter(path: string, { format, form }: { format: WrittenFormat; form: Form }): RowWriter {
  switch (format) {
    case 'text':
      return jsonlWriter(path);
    case 'gzip':
      return gzipWriter(path);
    case 'parquet':
      return parquetWriter(path, form);
  }
}

const BUFFERED_CHARACTERS = 1_000_000;

function lineOf({ chosen, rejected, ...row }: FormedRow): string {
  return `${JSON.stringify(chosen === null ? row : { ...row, chosen, rejected })}\n`;
}

function jsonlWriter(path: string): RowWriter {
  const fd = openSync(path, 'w');
  let waiting: string[] = [];
  let characters = 0;
  const flush = (): void => {
    writeAll(fd, Buffer.from(waiting.join(''), 'utf8'));
    waiting = [];
    characters = 0;
  };
  return {
    write(row) {
      const line = lineOf(row);
      waiting.push(line);
      characters += line.length;
      if (characters >= BUFFERED_CHARACTERS) flush();
    },
    async finish() {
      flush();
      closeSync(fd);
    },
    abandon: () => closeSync(fd),
  };
}

function gzipWriter(path: string): RowWriter {
  const gzip = createGzip();
  const done = pipeline(gzip, createWriteStream(path));
  // Heard in `finish`; a failure before must not count as unheard.
  done.catch(() => {});
  return {
    async write(row) {
      if (!gzip.write(lineOf(row))) await Promise.race([once(gzip, 'drain'), done]);
    },
    async finish() {
      gzip.end();
      await done;
    },
    abandon: () => void gzip.destroy(),
  };
}

/** Text in one row group: few enough to hold, enough to compress. */
const GROUP_CHARACTERS = 8_000_000;
const COLUMNS = ['prompt_id', 'prompt', 'chosen', 'rejected'] as const;

function parquetWriter(path: string, form: Form): RowWriter {
  const schema = schemaOf(form);
  const writer = new ParquetWriter({ writer: fileWriter(path), schema, createdBy: 'selm' });
  let rows: FormedRow[] = [];
  let characters = 0;
  const flush = (): void | Promise<void> => {
    const group = rows;
    rows = [];
    characters = 0;
    const columnData = COLUMNS.map((name) => ({ name, data: group.map((row) => row[name]) }));
    return group.length === 0 ? undefined : writer.write({ columnData, rowGroupSize: group.length });
  };
  return {
    write(row) {
      rows.push(row);
      characters += lineOf(row).length;
      if (characters >= GROUP_CHARACTERS) return flush();
    },
    async finish() {
      await flush();
      await writer.finish();
    },
    abandon: () => {},
  };
}

function schemaOf(form: Form): SchemaElement[] {
  const text = (name: string): SchemaElement => ({
    name,
    type: 'BYTE_ARRAY',
    converted_type: 'UTF8',
    repetition_type: 'OPTIONAL',
  });
  const messages = (name: string): SchemaElement[] => [
    { name, repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', repetition_type: 'OPTIONAL', num_children: 2 },
    text('content'),
    text('role'),
  ];
  const columns = COLUMNS.map((name) =>
    name !== 'prompt_id' && isConversation(form, name) ? messages(name) : [text(name)],
  );
  return [{ name: 'schema', num_children: columns.length }, ...columns.flat()];
}
