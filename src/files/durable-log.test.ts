import { appendFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { append, LogReader, readLog } from './durable-log.ts';
import { temporaryFolder } from './temporary.testing.ts';

test('a reader gives each line once, and half a line when its end is there', () => {
  const folder = temporaryFolder();
  const path = join(folder, 'log.jsonl');
  const reader = new LogReader(path);
  expect(reader.read()).toEqual({ values: [], isAnew: false });
  append(folder, 'log.jsonl', [1, 'zwölf']);
  expect(reader.read().values).toEqual([1, 'zwölf']);
  expect(reader.read().values).toEqual([]);
  appendFileSync(path, '{"half":');
  expect(reader.read().values).toEqual([]);
  appendFileSync(path, '"a line"}\nno JSON\n3\n');
  expect(reader.read()).toEqual({ values: [{ half: 'a line' }, 3], isAnew: false });
  expect(readLog(path)).toEqual([1, 'zwölf', { half: 'a line' }, 3]);
});

test('a log that was begun anew, became shorter or went away is read from its beginning, and the reader says so', () => {
  const folder = temporaryFolder();
  const path = join(folder, 'log.jsonl');
  writeFileSync(path, '1\n2\n');
  const reader = new LogReader(path);
  reader.read();
  writeFileSync(`${path}.new`, '10\n20\n30\n');
  renameSync(`${path}.new`, path);
  expect(reader.read()).toEqual({ values: [10, 20, 30], isAnew: true });
  writeFileSync(path, '100\n');
  expect(reader.read()).toEqual({ values: [100], isAnew: true });
  rmSync(path);
  expect(reader.read()).toEqual({ values: [], isAnew: true });
});
