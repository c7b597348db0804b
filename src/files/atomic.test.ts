import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ModelError } from '../errors.ts';
import { commitDirectory, verifyDirectory, writeFileAtomic } from './atomic.ts';
import { type Failure, failingFs } from './fs.testing.ts';
import { nodeFs } from './fs.ts';
import { sha256 } from './hash.ts';
import { HOSTILE_NAMES } from './hostile-names.testing.ts';
import { formatManifest } from './manifest.ts';
import { writeSafetensors } from './safetensors-write.ts';
import { temporaryFolder } from './temporary.testing.ts';

/** Fills a directory with files that say `version`. */
const fillWith = (version: string) => (path: string) => {
  mkdirSync(join(path, 'inner'));
  writeFileSync(join(path, 'config.json'), version);
  writeFileSync(join(path, 'inner/weights'), version.repeat(1000));
};
const versionOf = (path: string) => readFileSync(join(path, 'config.json'), 'utf8');

test('writeFileAtomic() writes texts and bytes, replacing what was there, and leaves nothing else', () => {
  const folder = temporaryFolder();
  const path = join(folder, 'failure.json');
  writeFileAtomic(path, 'première');
  expect(readFileSync(path, 'utf8')).toBe('première');
  writeFileAtomic(path, Uint8Array.of(1, 2));
  expect([...readFileSync(path)]).toEqual([1, 2]);
  expect(readdirSync(folder)).toEqual(['failure.json']);
});

test.each(['once', 'crash'] as const)(
  'writeFileAtomic() whose N-th call fails (%s) leaves the old or the new content, for all N',
  (after) => {
    const folder = temporaryFolder();
    const path = join(folder, 'file');
    let failures = 0;
    for (let call = 1; ; call++) {
      rmSync(folder, { recursive: true });
      mkdirSync(folder);
      writeFileSync(path, 'old');
      const { fs, calls } = failingFs({ call, after });
      try {
        writeFileAtomic(path, 'new', { fs });
      } catch (error) {
        expect(error).toMatchObject({ name: 'FileError', code: 'FILE_IO' });
        expect(['old', 'new']).toContain(readFileSync(path, 'utf8'));
        failures++;
        continue;
      }
      expect(readFileSync(path, 'utf8')).toBe('new');
      expect(calls()).toBeLessThan(call);
      break;
    }
    // open, write, fsync, close, rename, and open, fsync, close of the folder
    expect(failures).toBe(8);
    writeFileAtomic(path, 'again');
    expect(readdirSync(folder)).toEqual(['file']);
  },
);

test.each([
  ['ENOSPC', 'DISK_FULL'],
  ['EROFS', 'READ_ONLY'],
])('writeFileAtomic() turns %s into %s and keeps the old file', (code, expected) => {
  const path = join(temporaryFolder(), 'file');
  writeFileSync(path, 'old');
  for (let call = 1; call <= 3; call++) {
    expect(() => writeFileAtomic(path, 'new', { fs: failingFs({ call, after: 'once', code }).fs })).toThrow(
      expect.objectContaining({ code: expected }),
    );
    expect(readFileSync(path, 'utf8')).toBe('old');
  }
});

test('commitDirectory() writes files, their hashes and details, also in folders that do not exist yet', async () => {
  const path = join(temporaryFolder(), 'iteration-1/model');
  const manifest = await commitDirectory(path, fillWith('one'), { details: { step: 12 } });
  expect(manifest).toEqual({
    formatVersion: 1,
    files: new Map([
      ['config.json', { bytes: 3, sha256: sha256('one') }],
      ['inner/weights', { bytes: 3000, sha256: sha256('one'.repeat(1000)) }],
    ]),
    details: { step: 12 },
  });
  expect(await verifyDirectory(path)).toEqual(manifest);
  expect(readdirSync(join(path, '..'))).toEqual(['model']);
});

async function commitWithFailure(path: string, failure: Failure): Promise<'done' | 'failed'> {
  try {
    await commitDirectory(path, fillWith('new'), { fs: failingFs(failure).fs });
    return 'done';
  } catch (error) {
    expect(error).toMatchObject({ name: 'FileError' });
    return 'failed';
  }
}

test.each(['once', 'crash'] as const)(
  'commitDirectory() whose N-th call fails (%s) leaves the previous or the new directory verified, for all N',
  async (after) => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    const pristine = join(temporaryFolder(), 'pristine');
    await commitDirectory(join(pristine, 'model'), fillWith('old'));
    const outcomes = { old: 0, new: 0 };
    let call = 1;
    for (; ; call++) {
      rmSync(folder, { recursive: true });
      cpSync(pristine, folder, { recursive: true });
      const outcome = await commitWithFailure(path, { call, after });
      if (outcome === 'done') break;
      await verifyDirectory(path);
      const version = versionOf(path);
      expect(['old', 'new']).toContain(version);
      outcomes[version as 'old' | 'new']++;
      // Whatever was left behind, the next attempt works and leaves only its result.
      await commitDirectory(path, fillWith('next'));
      expect(versionOf(path)).toBe('next');
      expect(readdirSync(folder)).toEqual(['model']);
    }
    expect(versionOf(path)).toBe('new');
    expect(outcomes.old).toBeGreaterThan(20);
    expect(outcomes.new).toBeGreaterThan(0);
  },
);

test.each(['once', 'crash'] as const)(
  'commitDirectory() of a first directory whose N-th call fails (%s) leaves none or the new one, for all N',
  async (after) => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    for (let call = 1; ; call++) {
      rmSync(folder, { recursive: true, force: true });
      if ((await commitWithFailure(path, { call, after })) === 'done') break;
      if (existsSync(path)) await verifyDirectory(path);
      else await expect(verifyDirectory(path)).rejects.toMatchObject({ code: 'DIRECTORY_INCOMPLETE' });
    }
    await verifyDirectory(path);
  },
);

test('formatManifest() lists files by name, so that equal directories have equal manifests', () => {
  const digest = { bytes: 0, sha256: goodHash };
  const text = (names: string[]) =>
    formatManifest({ formatVersion: 1, files: new Map(names.map((name) => [name, digest])), details: {} });
  expect(text(['c', 'a', 'b'])).toBe(text(['a', 'b', 'c']));
});

test('commitDirectory() that fails the first time leaves no directory', async () => {
  const path = join(temporaryFolder(), 'model');
  const fail = async (): Promise<void> => {
    throw new ModelError('X', 'Cannot save');
  };
  await expect(commitDirectory(path, fail)).rejects.toMatchObject({ code: 'X' });
  expect(existsSync(path)).toBe(false);
  await expect(verifyDirectory(path)).rejects.toMatchObject({
    code: 'DIRECTORY_INCOMPLETE',
    message: expect.stringContaining('never finished'),
  });
});

test('commitDirectory() takes the hash of a file from whoever wrote it, and reads it only where its size is another', async () => {
  const path = join(temporaryFolder(), 'model');
  const claimed = { bytes: 4, sha256: 'a'.repeat(64) };
  const manifest = await commitDirectory(path, (folder) => {
    writeFileSync(join(folder, 'known'), 'abcd');
    writeFileSync(join(folder, 'changed'), 'abcdef');
    return new Map([
      ['known', claimed],
      ['changed', claimed],
    ]);
  });
  expect(manifest.files.get('known')).toEqual(claimed);
  expect(manifest.files.get('changed')).toEqual({ bytes: 6, sha256: sha256('abcdef') });
});

test('commitDirectory() on a full disk reports the error of the writer inside with its bytes', async () => {
  const path = join(temporaryFolder(), 'model');
  const { fs } = failingFs({ call: 2, after: 'once', code: 'ENOSPC' });
  const fill = (folder: string): void => {
    writeSafetensors(
      join(folder, 'x.safetensors'),
      [{ name: 'a', dtype: 'U8', shape: [1], bytes: new Uint8Array(1) }],
      [],
      { fs },
    );
  };
  await expect(commitDirectory(path, fill)).rejects.toMatchObject({ code: 'DISK_FULL', details: { bytesNeeded: 65 } });
  expect(readdirSync(join(path, '..'))).toEqual([]);
});

test.each([
  ['a link', (path: string) => symlinkSync('/etc/passwd', join(path, 'link')), 'only regular files and folders'],
  ['an unsafe name', (path: string) => writeFileSync(join(path, 'a b'), ''), 'named "a b"'],
  ['its own manifest.json', (path: string) => writeFileSync(join(path, 'manifest.json'), ''), 'kept for the manifest'],
])('commitDirectory() refuses %s', async (_, fill, problem) => {
  const path = join(temporaryFolder(), 'model');
  await expect(commitDirectory(path, fill)).rejects.toThrow(problem);
  expect(existsSync(path)).toBe(false);
});

test('verifyDirectory() refuses a file cut at any byte, changed, missing or replaced by a link', async () => {
  const path = join(temporaryFolder(), 'model');
  await commitDirectory(path, (folder) => writeFileSync(join(folder, 'weights'), 'abcdefgh'));
  const file = join(path, 'weights');
  for (let length = 0; length < 8; length++) {
    writeFileSync(file, 'abcdefgh');
    truncateSync(file, length);
    await expect(verifyDirectory(path)).rejects.toThrow(
      `file "weights" has ${length} bytes, not the 8 of its manifest`,
    );
  }
  writeFileSync(file, 'abcdefgx');
  await expect(verifyDirectory(path)).rejects.toThrow('SHA-256 differs');
  rmSync(file);
  await expect(verifyDirectory(path)).rejects.toThrow('file "weights" is missing');
  mkdirSync(file);
  await expect(verifyDirectory(path)).rejects.toThrow('file "weights" is not a regular file');
  rmSync(file, { recursive: true });
  symlinkSync('/etc/passwd', file);
  await expect(verifyDirectory(path)).rejects.toMatchObject({ code: 'UNSAFE_PATH' });
});

test('verifyDirectory() refuses a manifest cut at any byte', async () => {
  const path = join(temporaryFolder(), 'model');
  await commitDirectory(path, fillWith('x'));
  const whole = readFileSync(join(path, 'manifest.json'), 'utf8').trimEnd();
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(join(path, 'manifest.json'), whole.slice(0, length));
    await expect(verifyDirectory(path)).rejects.toMatchObject({ code: 'DIRECTORY_INCOMPLETE' });
  }
});

const goodHash = '0'.repeat(64);
test.each([
  ['a list', '[]', 'is not an object'],
  ['no version', '{"files":{}}', 'has no format version'],
  ['no files', '{"formatVersion":1}', 'names no files'],
  ['an entry that is no object', '{"formatVersion":1,"files":{"a":3}}', 'no valid size and hash of "a"'],
  [
    'a negative size',
    `{"formatVersion":1,"files":{"a":{"bytes":-1,"sha256":"${goodHash}"}}}`,
    'no valid size and hash',
  ],
  ['a hash that is none', '{"formatVersion":1,"files":{"a":{"bytes":1,"sha256":"xyz"}}}', 'no valid size and hash'],
  ['a hash that is a number', '{"formatVersion":1,"files":{"a":{"bytes":1,"sha256":1}}}', 'no valid size and hash'],
  [
    'a name that leaves the folder',
    `{"formatVersion":1,"files":{"../a":{"bytes":1,"sha256":"${goodHash}"}}}`,
    'Cannot use the name "../a"',
  ],
])('verifyDirectory() refuses a manifest with %s', async (_, text, problem) => {
  const path = temporaryFolder();
  writeFileSync(join(path, 'manifest.json'), text);
  await expect(verifyDirectory(path)).rejects.toThrow(problem);
});

test('verifyDirectory() refuses a newer format and accepts one without details', async () => {
  const path = temporaryFolder();
  writeFileSync(join(path, 'manifest.json'), '{"formatVersion":2}');
  await expect(verifyDirectory(path)).rejects.toMatchObject({
    code: 'FORMAT_NEWER',
    message: expect.stringContaining('update selm'),
  });
  writeFileSync(join(path, 'manifest.json'), '{"formatVersion":1,"files":{}}');
  expect(await verifyDirectory(path)).toEqual({ formatVersion: 1, files: new Map(), details: {} });
});

test('verifyDirectory() of a file, and of a folder that cannot be read, is an error with its reason', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'file'), 'x');
  await expect(verifyDirectory(join(folder, 'file'))).rejects.toMatchObject({ code: 'DIRECTORY_INCOMPLETE' });
  await commitDirectory(join(folder, 'model'), fillWith('x'));
  const { fs } = failingFs({ call: 2, after: 'once', code: 'EACCES' });
  await expect(verifyDirectory(join(folder, 'model'), { fs })).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
});

test('verifyDirectory() puts back a directory that a crash left between the two renames of its replacement', async () => {
  const folder = temporaryFolder();
  await commitDirectory(join(folder, 'model'), fillWith('old'));
  nodeFs.renameSync(join(folder, 'model'), join(folder, '.model.previous'));
  await verifyDirectory(join(folder, 'model'));
  expect(versionOf(join(folder, 'model'))).toBe('old');
});

test('verifyDirectory() opens no file by a hostile name of a manifest', async () => {
  const path = temporaryFolder();
  for (const name of HOSTILE_NAMES) {
    const files = { [name]: { bytes: 1, sha256: goodHash } };
    writeFileSync(join(path, 'manifest.json'), JSON.stringify({ formatVersion: 1, files }));
    await expect(verifyDirectory(path), JSON.stringify(name)).rejects.toMatchObject({ code: 'UNSAFE_PATH' });
  }
});
