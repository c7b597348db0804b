import { existsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FileError, ModelError } from '../errors.ts';
import { systemError } from './fs.testing.ts';
import { errorCode, fileError, formatBytes, freeSpace, fsyncDirectory, makeFolder, nodeFs, writeAll } from './fs.ts';
import { temporaryFolder } from './temporary.testing.ts';

const context = { action: 'write', path: '/disk/run/model.safetensors' };

test('fileError() of a full disk says what is needed, what is free and what to do', () => {
  const fs = {
    ...nodeFs,
    statfsSync: (() => ({ bavail: 30, bsize: 1_000_000 })) as unknown as typeof nodeFs.statfsSync,
  };
  const error = fileError(systemError('ENOSPC', 'write'), { ...context, bytesNeeded: 120_000_000 }, fs);
  expect(error).toBeInstanceOf(FileError);
  expect(error.code).toBe('DISK_FULL');
  expect(error.message).toBe(
    'Cannot write "/disk/run/model.safetensors": the disk of "/disk/run" is full: 120.0 MB needed, 30.0 MB free: ' +
      'free space there (old runs and checkpoints are the largest files) and run the same command again',
  );
  expect(error.details).toMatchObject({ bytesNeeded: 120_000_000, bytesFree: 30_000_000 });
});

test('fileError() of a full disk says less when less is known', () => {
  const fs = { ...nodeFs, statfsSync: (() => ({ bavail: 1, bsize: 512 })) as unknown as typeof nodeFs.statfsSync };
  expect(fileError(systemError('EDQUOT', 'write'), context, fs).message).toContain('is full: 512 B free: free space');
  const silent = {
    ...nodeFs,
    statfsSync: () => {
      throw systemError('ENOSYS', 'statfs');
    },
  };
  expect(fileError(systemError('ENOSPC', 'write'), context, silent).message).toContain('is full: free space');
  const needed = fileError(systemError('ENOSPC', 'write'), { ...context, bytesNeeded: 5000 }, silent);
  expect(needed.message).toContain('is full: 5.0 KB needed: free space');
});

test.each([
  ['EROFS', 'READ_ONLY', 'read-only: choose another output folder'],
  ['EACCES', 'PERMISSION_DENIED', 'permission denied'],
  ['EPERM', 'PERMISSION_DENIED', 'permission denied'],
  ['ENOENT', 'FILE_NOT_FOUND', 'it does not exist: check the path'],
  ['EIO', 'FILE_IO', 'EIO: planned failure'],
])('fileError() turns %s into %s', (errno, code, text) => {
  const cause = systemError(errno, 'open');
  const error = fileError(cause, context);
  expect(error).toMatchObject({ code, cause, details: { errno, path: context.path } });
  expect(error.message).toContain(text);
});

test('fileError() keeps errors of this package and reports what is not an error at all', () => {
  const own = new ModelError('WEIGHTS_INVALID', 'x');
  expect(fileError(own, context)).toBe(own);
  expect(fileError('thrown text', context).message).toContain('thrown text');
  expect(errorCode(new Error('plain'))).toBeNull();
});

test('freeSpace() asks the disk', () => {
  expect(freeSpace(temporaryFolder())).toBeGreaterThan(0);
});

test('formatBytes() uses decimal units with one digit', () => {
  expect([0, 999, 1000, 1_500_000, 14_480_000_000, 3e12, 5e15].map(formatBytes)).toEqual([
    '0 B',
    '999 B',
    '1.0 KB',
    '1.5 MB',
    '14.5 GB',
    '3.0 TB',
    '5000.0 TB',
  ]);
});

test('writeAll() goes on when the system writes less than asked', () => {
  const written: number[] = [];
  const writeSync = ((_fd: number, bytes: Uint8Array, offset: number, length: number) => {
    const count = Math.min(length, 3);
    written.push(...bytes.subarray(offset, offset + count));
    return count;
  }) as typeof nodeFs.writeSync;
  writeAll(7, Uint8Array.of(1, 2, 3, 4, 5, 6, 7), { ...nodeFs, writeSync });
  expect(written).toEqual([1, 2, 3, 4, 5, 6, 7]);
});

test('fsyncDirectory() of a real folder works, of a missing one throws', () => {
  const folder = temporaryFolder();
  fsyncDirectory(folder);
  expect(() => fsyncDirectory(`${folder}/missing`)).toThrow('ENOENT');
});

test('makeFolder() makes folders, and names the link that leads nowhere', () => {
  const folder = temporaryFolder();
  makeFolder(join(folder, 'a/b'), { action: 'create' });
  makeFolder(join(folder, 'a/b'), { action: 'create' });
  expect(existsSync(join(folder, 'a/b'))).toBe(true);
  symlinkSync(join(folder, 'nowhere'), join(folder, 'link'));
  for (const path of ['link', 'link/run']) {
    expect(() => makeFolder(join(folder, path), { action: 'create' })).toThrow(
      expect.objectContaining({
        code: 'LINK_BROKEN',
        message: expect.stringContaining(`"${join(folder, 'link')}" is a link`),
      }),
    );
  }
  expect(existsSync(join(folder, 'nowhere'))).toBe(false);
});

test('makeFolder() below a read-only file system says so, though Node reports a missing folder', () => {
  const fs = {
    ...nodeFs,
    mkdirSync: (() => {
      throw systemError('ENOENT', 'mkdir');
    }) as typeof nodeFs.mkdirSync,
    accessSync: () => {
      throw systemError('EROFS', 'access');
    },
  };
  expect(() => makeFolder(join(temporaryFolder(), 'a/b'), { action: 'create', fs })).toThrow(
    expect.objectContaining({ code: 'READ_ONLY' }),
  );
});
