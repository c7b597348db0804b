import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sha256Folder } from '../files/hash.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { buildEngine, firstErrors, parallelJobs, requireBuildTools, staleReason } from './build.ts';
import { thisMachine } from './machine.ts';
import { bareMachine, fakeLibtorch, fakePrograms, writeFiles } from './places.testing.ts';

function builtEngine() {
  const root = temporaryFolder();
  const sources = writeFiles(join(root, 'native'), { 'a.cc': 'int a;' });
  const libtorchDirectory = fakeLibtorch(join(root, 'torch'), '2.15.0');
  const output = writeFiles(join(root, 'output'), { 'selm.node': '' });
  const sourcesDigest = sha256Folder(sources);
  const record = {
    formatVersion: 1,
    libtorchVersion: '2.15.0',
    libtorchDirectory,
    sourcesSha256: sourcesDigest,
  } as const;
  return { root, record, places: { sources, output, libtorch: null } };
}

test('staleReason() of an engine whose sources and LibTorch are the same is null', () => {
  const { record, places } = builtEngine();
  expect(staleReason(record, places)).toBe(null);
  expect(staleReason(record, { ...places, libtorch: record.libtorchDirectory })).toBe(null);
});

test('staleReason() names what changed', () => {
  const { root, record, places } = builtEngine();
  expect(staleReason(null, places)).toBe('no engine is built yet');
  expect(staleReason({ ...record, sourcesSha256: 'x' }, places)).toBe('the native sources changed');
  const other = fakeLibtorch(join(root, 'other'), '2.15.0');
  expect(staleReason(record, { ...places, libtorch: other })).toBe(`LibTorch is now taken from ${other}`);
  fakeLibtorch(record.libtorchDirectory, '2.15.1');
  expect(staleReason(record, places)).toBe('LibTorch 2.15.0 became 2.15.1');
  rmSync(record.libtorchDirectory, { recursive: true });
  expect(staleReason(record, places)).toBe(`LibTorch is no longer in ${record.libtorchDirectory}`);
  rmSync(join(places.output, 'selm.node'));
  expect(staleReason(record, places)).toBe('no engine is built yet');
});

test('parallelJobs() is two at most on a small machine, and one when memory is short', () => {
  expect(parallelJobs(16, { totalBytes: 64e9, freeBytes: 60e9 })).toBe(16);
  expect(parallelJobs(16, { totalBytes: 64e9, freeBytes: 6e9 })).toBe(4);
  expect(parallelJobs(8, { totalBytes: 7e9, freeBytes: 6e9 })).toBe(2);
  expect(parallelJobs(2, { totalBytes: 2e9, freeBytes: 0.1e9 })).toBe(1);
});

test('firstErrors() finds the lines that say what is wrong', () => {
  const output = [
    '[1/3] Building CXX object error.cc.o',
    'FAILED: a.cc.o',
    "a.cc:1:5: error: expected ')'",
    '    1 | int f(;',
    'ninja: build stopped: subcommand failed.',
  ].join('\n');
  expect(firstErrors(output)).toEqual(["a.cc:1:5: error: expected ')'"]);
  expect(firstErrors('no telling line\n\nlast words\n', 1)).toEqual(['last words']);
});

test('requireBuildTools() refuses by the first tool that is missing', () => {
  const path = fakePrograms(temporaryFolder(), { cmake: '', ninja: '' });
  expect(() => requireBuildTools(bareMachine({ PATH: path }))).toThrow(
    expect.objectContaining({ code: 'TOOL_MISSING', details: { tool: 'compiler' } }),
  );
});

test('buildEngine() refuses a platform that it cannot build on', async () => {
  const machine = { ...bareMachine({ PATH: '' }), platform: 'win32' as const };
  await expect(buildEngine('/nowhere', { machine, log: () => {} })).rejects.toMatchObject({ code: 'ENGINE_PLATFORM' });
});

function toolsPresent(): boolean {
  try {
    requireBuildTools(thisMachine);
    return true;
  } catch {
    return false;
  }
}

const CMAKE = `cmake_minimum_required(VERSION 3.18)
project(small CXX)
add_library(selm SHARED a.cc)
set_target_properties(selm PROPERTIES PREFIX "" SUFFIX ".node")
`;

test.skipIf(!toolsPresent()).each([
  ['does not compile', 'int f(;', 'ENGINE_BUILD', /a\.cc:1.*error/],
  ['does not load', 'int f() { return 1; }', 'ENGINE_VERIFY', /self-register/],
])(
  'buildEngine() leaves the previous engine when the new one %s (skipped without compiler or CMake)',
  async (...row) => {
    const [, code, errorCode, message] = row;
    const root = temporaryFolder();
    const sources = writeFiles(join(root, 'native'), { 'CMakeLists.txt': CMAKE, 'a.cc': code });
    const output = writeFiles(join(root, 'output'), { 'selm.node': 'previous', 'engine.json': 'previous' });
    const libtorch = fakeLibtorch(join(root, 'torch'), '2.15.0');
    const failure = { code: errorCode, message: expect.stringMatching(message) };
    await expect(buildEngine(libtorch, { sources, output, log: () => {} })).rejects.toMatchObject(failure);
    expect(readFileSync(join(output, 'selm.node'), 'utf8')).toBe('previous');
    expect(readFileSync(join(output, 'engine.json'), 'utf8')).toBe('previous');
    expect(existsSync(join(output, 'build.log'))).toBe(true);
  },
);
