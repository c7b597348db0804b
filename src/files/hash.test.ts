import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { digestFile, digestFileSync, sha256, sha256File, sha256Folder } from './hash.ts';
import { temporaryFolder } from './temporary.testing.ts';

// FIPS 180-4 example values.
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';

test('sha256() agrees with the published examples for text and bytes', () => {
  expect(sha256('')).toBe(EMPTY);
  expect(sha256('abc')).toBe(ABC);
  expect(sha256(Uint8Array.of(97, 98, 99))).toBe(ABC);
});

test('sha256File() streams files of any size to the same digest as one piece', async () => {
  const path = join(temporaryFolder(), 'file');
  for (const size of [0, 3, 4 * 1024 * 1024, 9 * 1024 * 1024 + 1]) {
    const bytes = new Uint8Array(size).map((_, i) => i % 251);
    writeFileSync(path, bytes);
    expect(await digestFile(path)).toEqual({ bytes: size, sha256: sha256(bytes) });
    expect(digestFileSync(path)).toEqual({ bytes: size, sha256: sha256(bytes) });
    expect(await sha256File(path)).toBe(sha256(bytes));
  }
});

test('sha256File() of a missing file is a FileError naming it', async () => {
  const path = join(temporaryFolder(), 'missing');
  await expect(sha256File(path)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND', details: { path } });
});

test('sha256Folder() changes with the content and with the name of a file, and not else', () => {
  const [folder, twin] = [temporaryFolder(), temporaryFolder()];
  for (const place of [folder, twin]) {
    mkdirSync(join(place, 'kernels'));
    writeFileSync(join(place, 'a.cc'), 'int a;');
    writeFileSync(join(place, 'kernels', 'b.cc'), 'int b;');
  }
  const first = sha256Folder(folder);
  expect(sha256Folder(twin)).toBe(first);
  writeFileSync(join(folder, 'kernels', 'b.cc'), 'int c;');
  const second = sha256Folder(folder);
  renameSync(join(folder, 'a.cc'), join(folder, 'd.cc'));
  expect(new Set([first, second, sha256Folder(folder)]).size).toBe(3);
});
