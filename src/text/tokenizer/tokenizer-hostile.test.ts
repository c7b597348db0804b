/** @file A tokenizer.json that makes the library end its process is an error of the call, not the end of this one. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../files/package-root.ts';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { loadTokenizer } from './tokenizer.ts';

const stories = join(packageRoot, 'assets', 'stories260K');

/** A model folder whose tokenizer.json has these fields set. */
function folderWith(changes: Record<string, unknown>): string {
  const folder = join(temporaryFolder(), 'model');
  mkdirSync(folder);
  cpSync(stories, folder, { recursive: true });
  const value = JSON.parse(readFileSync(join(stories, 'tokenizer.json'), 'utf8')) as Record<string, unknown>;
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify({ ...value, ...changes }));
  return folder;
}

test('loadTokenizer() of a file that aborts the library is a TextError with the reason', () => {
  const folder = folderWith({ normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAAA' } });
  expect(() => loadTokenizer(folder)).toThrow(
    expect.objectContaining({ name: 'TextError', message: expect.stringMatching(/its process ended \(Precompiled/) }),
  );
});

test('encode() of a text that aborts the library is a TextError, and the next text is encoded', () => {
  const folder = folderWith({
    pre_tokenizer: { type: 'Split', pattern: { Regex: '(a+)+b' }, behavior: 'Isolated', invert: false },
  });
  const tokenizer = loadTokenizer(folder);
  const ids = tokenizer.encode('Once');
  expect(() => tokenizer.encode('a'.repeat(60))).toThrow(
    expect.objectContaining({ name: 'TextError', message: expect.stringContaining('retry-limit-in-match over') }),
  );
  expect(tokenizer.encode('Once')).toEqual(ids);
});

test('close() ends the process of a tokenizer, and the next call starts another', () => {
  const tokenizer = loadTokenizer(stories);
  const processes = (): number =>
    spawnSync('ps', ['--ppid', String(process.pid), '-o', 'args='], { encoding: 'utf8' })
      .stdout.split('\n')
      .filter((line) => line.includes('tokenizer-process')).length;
  const ids = tokenizer.encode('Once');
  const before = processes();
  tokenizer.close();
  for (let i = 0; i < 100 && processes() >= before; i++) spawnSync('sleep', ['0.1']);
  expect(processes()).toBe(before - 1);
  expect(tokenizer.encode('Once')).toEqual(ids);
});
