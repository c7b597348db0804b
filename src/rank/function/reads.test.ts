import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { noteReads } from './reads.ts';

const folder = mkdtempSync(join(tmpdir(), 'selm-reads-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const READER = "import fs from 'node:fs';\nexport const read = (path) => fs.readFileSync(path);";

/** What is noted when a module at this place reads a file. */
async function notedFrom(place: string, file: string): Promise<string[]> {
  const { read } = (await import(pathToFileURL(write(place, READER)).href)) as { read: (path: string) => unknown };
  const noted = noteReads();
  read(file);
  return noted();
}

test("a file is noted that a user's module reads, also through a package, and its own package.json", async () => {
  const words = write('words.txt', 'good');
  expect(await notedFrom('reward.mjs', words)).toEqual([words]);
  expect(await notedFrom('node_modules/lists/index.mjs', words)).toEqual([words]);
  const settings = write('package.json', '{}');
  expect(await notedFrom('reward.mjs', settings)).toEqual([settings]);
});

test('what the loader reads is not noted: sources, and what tsx keeps of them in its cache', async () => {
  const cached = write('tsx-0/17958-43138c05', 'export {};');
  expect(await notedFrom('node_modules/tsx/dist/loader.mjs', cached)).toEqual([]);
});

test('files that are written, and reads after the end, are not noted', () => {
  const noted = noteReads();
  write('made.txt', 'new');
  expect(noted()).toEqual([]);
  readFileSync(write('later.txt', 'late'));
  expect(noted()).toEqual([]);
});
