/** @file Each file format gives the same rows; a file that is damaged or of another kind is one clear DataError. */
import { copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { DataError } from '../../errors.ts';
import { packageRoot } from '../../files/package-root.ts';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { collectRows, readRows } from '../read.ts';
import { neededFields, type PreferenceRow } from '../rows.ts';
import { readParquet } from './parquet.ts';

const fixtures = join(packageRoot, 'test', 'fixtures', 'data');
const fixture = (name: string): string => join(fixtures, name);

async function rowsOf(...files: string[]): Promise<PreferenceRow[]> {
  return collectRows(readRows(files), { limit: null, onBadRow: 'stop' });
}
const withoutPlace = (rows: PreferenceRow[]): unknown[] => rows.map(({ source, ...row }) => row);

async function failure(...files: string[]): Promise<DataError> {
  const outcome: unknown = await rowsOf(...files).catch((error: unknown) => error);
  if (outcome instanceof DataError) return outcome;
  throw new Error('The file was read', { cause: outcome });
}

/** A copy of a fixture (or these bytes) under a name of its own. */
function made(name: string, from: string | Uint8Array): string {
  const path = join(temporaryFolder(), name);
  if (typeof from === 'string') copyFileSync(fixture(from), path);
  else writeFileSync(path, from);
  return path;
}

describe('readRows() gives the rows of the JSONL file', () => {
  it.each([
    'train_prefs-snappy.parquet',
    'train_prefs-zstd.parquet',
    'train_prefs-gzip.parquet',
    'train_prefs-indexed.parquet',
  ])("from pyarrow's %s, in the layout of UltraFeedback-binarized", async (name) => {
    const rows = await rowsOf(fixture(name));
    expect(withoutPlace(rows)).toEqual(withoutPlace(await rowsOf(fixture('train_prefs.jsonl'))));
    expect(rows.map(({ source }) => source.line)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(rows[6]?.prompt).toMatchObject({ messages: [{ role: 'user' }, { role: 'assistant' }, { role: 'user' }] });
  });

  it('from gzip, also of several members, and from zstd of several frames', async () => {
    const expected = withoutPlace(await rowsOf(fixture('train_prefs.jsonl')));
    const lines = readFileSync(fixture('train_prefs.jsonl'), 'utf8').split(/(?<=\n)/);
    const members = [lines.slice(0, 3), lines.slice(3)].map((part) => gzipSync(part.join('')));
    expect(withoutPlace(await rowsOf(made('rows.jsonl.gz', Buffer.concat(members))))).toEqual(expected);
    expect(withoutPlace(await rowsOf(fixture('train_prefs.jsonl.zst')))).toEqual(expected);
  });

  it('whatever name a file has that promises no format', async () => {
    const expected = withoutPlace(await rowsOf(fixture('train_prefs.jsonl')));
    for (const name of ['train_prefs-snappy.parquet', 'train_prefs.jsonl.zst', 'train_prefs.jsonl']) {
      expect(withoutPlace(await rowsOf(made('4b1d2c', name)))).toEqual(expected);
    }
  });

  it('from Parquet that hyparquet-writer wrote, with numbers of 64 bits beside the texts', async () => {
    const columnData = [
      { name: 'prompt', data: ['Hi', 'Ho'], type: 'STRING' as const },
      { name: 'prompt_id', data: [7n, 2n ** 60n], type: 'INT64' as const },
      { name: 'chosen', data: ['a', 'b'], type: 'STRING' as const },
      { name: 'rejected', data: ['c', 'b'], type: 'STRING' as const },
    ];
    const path = made('rows.parquet', new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize: 1 })));
    const rows = await collectRows(readRows([path]), { limit: null, onBadRow: 'drop' });
    expect(rows).toMatchObject([{ prompt: { text: 'Hi' }, chosen: 'a', rejected: 'c', source: { line: 1 } }]);
  });
});

it('readParquet() reads the needed columns only, a part of a row group at a time where there are page indexes', async () => {
  const records: unknown[] = [];
  for await (const record of readParquet(fixture('train_prefs-indexed.parquet'), neededFields)) records.push(record);
  expect(records).toHaveLength(7);
  expect(Object.keys((records[0] as { value: object }).value).sort()).toEqual([
    'chosen',
    'prompt',
    'prompt_id',
    'rejected',
  ]);
});

describe('readRows() refuses', () => {
  it.each([
    ['JSONL under the name of Parquet', 'rows.parquet', 'train_prefs.jsonl', 'Parquet, but it begins with "{'],
    ['Parquet under the name of JSONL', 'rows.jsonl', 'train_prefs-snappy.parquet', 'JSONL, but it begins as Parquet'],
    ['zstd under the name of gzip', 'rows.jsonl.gz', 'train_prefs.jsonl.zst', 'begins as zstd'],
  ])('%s', async (_, name, from, says) => {
    const path = made(name, from);
    const error = await failure(path);
    expect(error).toMatchObject({ code: 'DATA_FORMAT', exitCode: 2, details: { file: path } });
    expect(error.message).toContain(says);
  });

  it('Parquet without the columns, naming those it has', async () => {
    const error = await failure(fixture('other-columns.parquet'));
    expect(error).toMatchObject({ code: 'DATA_COLUMNS' });
    expect(error.message).toContain('other-columns.parquet: it has the columns question, answer, id');
    expect(error.message).toContain('data.columns');
  });

  it('a column that data.columns names and Parquet has not', async () => {
    const read = collectRows(readRows([fixture('other-columns.parquet')], { prompt: 'qestion' }), {
      limit: null,
      onBadRow: 'stop',
    });
    await expect(read).rejects.toThrow(
      'takes "prompt" from "qestion", and the file has the columns question, answer, id',
    );
  });

  it('a line that is not UTF-8, by its place', async () => {
    const path = made(
      'rows.jsonl',
      Buffer.concat([Buffer.from('{"prompt":"'), Buffer.from([0xff]), Buffer.from('"}\n')]),
    );
    expect(await failure(path)).toMatchObject({ code: 'ROW_UNUSABLE', details: { line: 1, problem: 'not UTF-8' } });
  });

  it('a folder', async () => {
    expect(await failure(fixtures)).toMatchObject({ code: 'DATA_MISSING' });
  });

  it('a zstd file that asks for gigabytes of memory', async () => {
    // Magic number, a descriptor without sizes, and the window byte of 2 GiB - 1 exponent 21.
    const path = made('rows.zst', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, ...Array<number>(20).fill(0)]));
    expect((await failure(path)).message).toContain('window');
  });

  // Every length of the small files would take long; these hit headers, middles and ends.
  const parts = [0.1, 0.35, 0.6, 0.9, 0.99];
  it.each(['train_prefs-snappy.parquet', 'train_prefs.jsonl.zst'])('%s cut off anywhere', async (name) => {
    const size = readFileSync(fixture(name)).length;
    for (const bytes of [9, ...parts.map((part) => Math.floor(size * part)), size - 1]) {
      const path = made(name, name);
      truncateSync(path, bytes);
      expect(await failure(path)).toMatchObject({ code: 'DATA_DAMAGED', exitCode: 2, details: { file: path } });
    }
  });

  it('gzip cut off anywhere', async () => {
    const bytes = gzipSync(readFileSync(fixture('train_prefs.jsonl')));
    for (const part of [...parts, 1 - 1 / bytes.length]) {
      const error = await failure(made('rows.jsonl.gz', bytes.subarray(0, Math.floor(bytes.length * part))));
      expect(error).toMatchObject({ code: 'DATA_DAMAGED' });
    }
  });

  it('Parquet with any byte changed, or reads it: never an error of another kind', async () => {
    const bytes = readFileSync(fixture('train_prefs-zstd.parquet'));
    for (let at = 0; at < bytes.length; at += 97) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0xff;
      const outcome: unknown = await rowsOf(made('rows.parquet', changed)).catch((error: unknown) => error);
      if (outcome instanceof Error) expect(outcome).toBeInstanceOf(DataError);
    }
  });
});
