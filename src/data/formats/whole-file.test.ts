/** @file Files that are no lines of JSON: CSV, and one JSON value. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { readRecords } from './read.ts';
import type { DataRecord } from './record.ts';

async function read(name: string, content: string | Uint8Array): Promise<DataRecord[]> {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, content);
  const records: DataRecord[] = [];
  for await (const record of readRecords([path], (available) => available)) records.push(record);
  return records;
}

const values = (records: DataRecord[]) => records.map((record) => (record.kind === 'record' ? record.value : record));
const ROWS = [{ prompt: 'a' }, { prompt: 'b' }];

test.each([
  ['a list', JSON.stringify(ROWS)],
  ['a list over many lines, after blank ones', `\n\n${JSON.stringify(ROWS, null, 2)}`],
  ['an object that holds the list', JSON.stringify({ version: 1, data: ROWS })],
  ['the same over many lines', JSON.stringify({ data: ROWS }, null, 2)],
])('a JSON file that is %s has the rows of the list, with their places', async (_, text) => {
  const records = await read('rows.json', text);
  expect(values(records)).toEqual(ROWS);
  expect(records.map(({ source }) => source.line)).toEqual([1, 2]);
});

test('a JSON file is read compressed too, and an item that is no object is a problem', async () => {
  const records = await read('rows.json.gz', gzipSync('[{"prompt": "a"}, 7]'));
  expect(values(records)).toMatchObject([{ prompt: 'a' }, { problem: 'not an object', detail: 'it is 7' }]);
});

test.each([
  ['[{"prompt": "a"}', /begins like one JSON value and is not one: .*JSON/],
  ['{\n  "prompt": "a",\n  "n": 1\n}', /one JSON object with the fields prompt, n: give one object a line/],
])('a JSON value without a list of rows is refused by what it is: %s', async (text, says) => {
  await expect(read('rows.json', text)).rejects.toThrow(says);
});

test('lines stay lines: an object that begins a file and is whole, or broken, is the first row', async () => {
  expect(values(await read('rows.jsonl', '{"data": "text"}\n{"prompt": "b"}'))).toEqual([
    { data: 'text' },
    { prompt: 'b' },
  ]);
  expect(values(await read('rows.jsonl', '{"prompt": "a\n{"prompt": "b"}'))).toMatchObject([
    { problem: 'not JSON' },
    { prompt: 'b' },
  ]);
});

test('a line with NaN says what is not JSON and who writes it', async () => {
  expect(values(await read('rows.jsonl', '{"prompt": "a", "score": NaN}'))).toMatchObject([
    { problem: 'not JSON', detail: expect.stringContaining("it holds NaN, which Python's json.dumps writes") },
  ]);
});

test('CSV has its rows by the header: quotes, line ends in fields, nothing where a field is empty, lists where it is JSON', async () => {
  const text =
    'prompt,chosen,rejected,messages\r\n"Say ""hi"",\nplease",Hi,,"[{""role"": ""user"", ""content"": ""x""}]"\r\nshort\r\n';
  const records = await read('rows.csv', text);
  expect(values(records)).toMatchObject([
    { prompt: 'Say "hi",\nplease', chosen: 'Hi', rejected: null, messages: [{ role: 'user', content: 'x' }] },
    { problem: 'not of the columns', detail: 'it has 1 fields, the header 4' },
  ]);
  expect(records.map(({ source }) => source.line)).toEqual([2, 4]);
});
