import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sha256Folder } from '../files/hash.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { bareMachine, fakeLibtorch, writeFiles } from './places.testing.ts';
import { bindLibtorch, findPrebuilt, PLACEHOLDER, placePrebuilt, prebuiltProblem } from './prebuilt.ts';

const searchPath = `/built/lib:${PLACEHOLDER}/${'x'.repeat(200)}`;
const addon = Buffer.from(`ELF\0first\0${searchPath}\0last\0`);
const machine = bareMachine({});
const loads = () => ({ kind: 'loads', version: '2.15.0' }) as const;

function world() {
  const root = temporaryFolder();
  const record = { formatVersion: 1, libtorchVersion: '2.15.0', libtorchDirectory: '', sourcesSha256: 'abc' } as const;
  mkdirSync(join(root, 'package'));
  writeFileSync(join(root, 'package', 'selm.node'), addon);
  const prebuilt = { name: '@selm/engine-linux-x64', folder: join(root, 'package'), record };
  const lines: string[] = [];
  const log = (line: string) => lines.push(line);
  return { root, prebuilt, lines, options: { output: join(root, 'out'), machine, log, probe: loads } };
}

describe('an engine that was built elsewhere', () => {
  it('gets the path of LibTorch in place of its own, and nothing else moves', () => {
    const bound = bindLibtorch(addon, '/home/me/torch/lib');
    const rest = '\0'.repeat(searchPath.length - '/home/me/torch/lib'.length);
    expect(bound?.toString()).toBe(`ELF\0first\0/home/me/torch/lib${rest}\0last\0`);
  });

  it('has no room for a path that is longer than its own', () => {
    expect(bindLibtorch(addon, `/${'y'.repeat(searchPath.length)}`)).toBeNull();
    expect(bindLibtorch(Buffer.from('ELF\0built here\0'), '/torch/lib')).toBeNull();
  });

  it('is put in place with its record, bound to the LibTorch that is here', () => {
    const { root, prebuilt, options } = world();
    const libtorch = fakeLibtorch(join(root, 'torch'), '2.15.1+cpu');
    expect(placePrebuilt(prebuilt, { ...options, libtorch })).toMatchObject({
      libtorchVersion: '2.15.1+cpu',
      libtorchDirectory: libtorch,
      sourcesSha256: 'abc',
    });
    expect(readFileSync(join(root, 'out', 'selm.node'), 'utf8')).toContain(`\0${libtorch}/lib\0`);
    expect(JSON.parse(readFileSync(join(root, 'out', 'engine.json'), 'utf8'))).toMatchObject({ formatVersion: 1 });
  });

  it('for another LibTorch, or that does not load, is passed over with the reason', () => {
    const { root, prebuilt, lines, options } = world();
    const older = fakeLibtorch(join(root, 'older'), '2.14.0');
    expect(placePrebuilt(prebuilt, { ...options, libtorch: older })).toBeNull();
    const libtorch = fakeLibtorch(join(root, 'torch'), '2.15.0');
    const probe = () => ({ kind: 'fails', message: 'illegal instruction' }) as const;
    expect(placePrebuilt(prebuilt, { ...options, libtorch, probe })).toBeNull();
    expect(lines).toEqual([
      expect.stringMatching(/for LibTorch 2\.15, and .*older holds 2\.14\.0/),
      '@selm/engine-linux-x64 is skipped: it does not load here: illegal instruction',
    ]);
  });

  it('must be of the same sources, and there is none for every machine', () => {
    const { root, prebuilt } = world();
    const sources = writeFiles(join(root, 'native'), { 'a.cc': 'int a;' });
    expect(prebuiltProblem(prebuilt, sources)).toMatch(/other sources/);
    const same = { ...prebuilt, record: { ...prebuilt.record, sourcesSha256: sha256Folder(sources) } };
    expect(prebuiltProblem(same, sources)).toBeNull();
    expect(findPrebuilt({ ...machine, platform: 'win32' })).toBeNull();
  });
});
