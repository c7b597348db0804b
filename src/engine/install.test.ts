import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { fetchLibtorch, needsCudaStubs } from './fetch.ts';
import { installEngine } from './install.ts';
import { findProgram, run } from './machine.ts';
import { bareMachine, fakeLibtorch, fakePrograms, writeFiles } from './places.testing.ts';

const log = () => {};
const BUILD_TOOLS = { cmake: '', 'g++': '', ninja: '' };

/** A machine with build tools that do nothing, this python3, and a cache of its own. */
function machineWith(python: string | null, env: Record<string, string> = {}) {
  const root = temporaryFolder();
  const path = fakePrograms(join(root, 'bin'), python === null ? BUILD_TOOLS : { ...BUILD_TOOLS, python3: python });
  const machine = bareMachine({ PATH: path, XDG_CACHE_HOME: join(root, 'cache'), ...env });
  return { root, machine, cache: join(root, 'cache', 'selm', 'libtorch') };
}

test('installEngine() never passes over a $LIBTORCH that cannot be used', async () => {
  const { root, machine } = machineWith(null, { LIBTORCH: '/nowhere' });
  await expect(installEngine({ machine, output: join(root, 'out'), log })).rejects.toMatchObject({
    code: 'LIBTORCH_UNUSABLE',
    message: expect.stringContaining('$LIBTORCH (/nowhere): the folder does not exist'),
  });
});

test('installEngine() refuses a $LIBTORCH that does not load', async () => {
  const { root, machine } = machineWith(null);
  const env = { ...machine.env, LIBTORCH: fakeLibtorch(join(root, 'torch'), '2.15.0') };
  await expect(installEngine({ machine: { ...machine, env }, output: join(root, 'out'), log })).rejects.toMatchObject({
    code: 'LIBTORCH_UNUSABLE',
    message: expect.stringContaining('does not load'),
  });
});

test('installEngine() with the CUDA half refuses a $LIBTORCH that has none', async () => {
  const { root, machine } = machineWith(null);
  const env = { ...machine.env, LIBTORCH: fakeLibtorch(join(root, 'torch'), '2.15.0') };
  const install = installEngine({ machine: { ...machine, env }, half: 'cuda', output: join(root, 'out'), log });
  await expect(install).rejects.toMatchObject({
    code: 'LIBTORCH_UNUSABLE',
    message: expect.stringContaining('it has no lib/libtorch_cuda.so: take a CUDA build'),
  });
});

test('installEngine() says who else builds', async () => {
  const { root, machine } = machineWith(null);
  const first = installEngine({ machine: { ...machine, env: { ...machine.env, LIBTORCH: '/a' } }, output: root, log });
  await expect(first).rejects.toMatchObject({ code: 'LIBTORCH_UNUSABLE' });
  expect(existsSync(join(root, 'build.lock'))).toBe(false);
  writeFiles(root, { 'build.lock': JSON.stringify({ pid: 1, host: 'another-machine', startedAt: null }) });
  await expect(installEngine({ machine, output: root, log })).rejects.toMatchObject({ code: 'ENGINE_BUSY' });
});

test('fetchLibtorch() names python3 when it is missing', async () => {
  const { machine } = machineWith(null);
  await expect(fetchLibtorch({ machine, log })).rejects.toMatchObject({
    code: 'TOOL_MISSING',
    details: { tool: 'python3' },
  });
});

test('fetchLibtorch() names pip when Python has none', async () => {
  const { machine } = machineWith('exit 1');
  await expect(fetchLibtorch({ machine, log })).rejects.toMatchObject({
    code: 'TOOL_MISSING',
    details: { tool: 'pip' },
  });
});

test('fetchLibtorch() repeats the words of pip, tries again for any Python, and leaves nothing behind', async () => {
  const script =
    'case "$*" in *--version*) ;; *) echo "$@" >> "$CALLS"; echo "ERROR: No matching distribution found" >&2; exit 1;; esac';
  const { root, machine, cache } = machineWith(script);
  const calls = join(root, 'calls');
  const withCalls = { ...machine, env: { ...machine.env, CALLS: calls } };
  const lines: string[] = [];
  const options = {
    machine: withCalls,
    indexUrl: 'https://index.example/simple',
    log: (line: string) => lines.push(line),
  };
  await expect(fetchLibtorch(options)).rejects.toMatchObject({
    code: 'LIBTORCH_DOWNLOAD',
    message: expect.stringContaining('ERROR: No matching distribution found'),
  });
  expect(lines).toEqual(['Fetching torch==2.15.0 by pip']);
  const tried = readFileSync(calls, 'utf8').trim().split('\n');
  expect(tried.map((line) => line.includes('--platform manylinux_2_28_x86_64'))).toEqual([false, true]);
  expect(tried.every((line) => line.includes('--index-url https://index.example/simple'))).toBe(true);
  expect(readdirSync(cache)).toEqual([]);
});

test('fetchLibtorch() refuses a folder that holds no torch wheel', async () => {
  const { root, machine } = machineWith('');
  await expect(fetchLibtorch({ machine, from: root, log })).rejects.toMatchObject({ code: 'LIBTORCH_UNUSABLE' });
});

const python = findProgram(['python3']);
const realPython = `exec ${python} "$@"`;

/** Packs a folder as a wheel, which is a zip archive. */
function wheelOf(folder: string, path: string): string {
  const { status, stderr } = run('python3', ['-m', 'zipfile', '-c', path, join(folder, 'torch')]);
  if (status !== 0) throw new Error(stderr);
  return path;
}

test.skipIf(python === null)('fetchLibtorch() refuses a wheel of another minor (skipped without python3)', async () => {
  const { root, machine, cache } = machineWith(realPython);
  fakeLibtorch(join(root, 'w', 'torch'), '2.14.1');
  const from = wheelOf(join(root, 'w'), join(root, 'torch-2.14.1-cp311-cp311-linux_x86_64.whl'));
  const env = { ...machine.env, PATH: `${machine.env.PATH}${delimiter}${process.env.PATH}` };
  await expect(fetchLibtorch({ machine: { ...machine, env }, from, log })).rejects.toMatchObject({
    code: 'LIBTORCH_VERSION',
    message: expect.stringContaining('it holds LibTorch 2.14.1'),
  });
  expect(readdirSync(cache)).toEqual([]);
});

test.skipIf(python === null)(
  'fetchLibtorch() keeps the previous copy when the new one does not load (skipped without python3)',
  async () => {
    const { root, machine, cache } = machineWith(realPython);
    fakeLibtorch(join(root, 'w', 'torch'), '2.15.0');
    const from = wheelOf(join(root, 'w'), join(root, 'torch-2.15.0-cp311-cp311-linux_x86_64.whl'));
    writeFiles(cache, { '2.15.0/torch/marker': 'previous', '.fetching-999999999/wheels/x': 'of a killed install' });
    const env = { ...machine.env, PATH: `${machine.env.PATH}${delimiter}${process.env.PATH}` };
    await expect(fetchLibtorch({ machine: { ...machine, env }, from, log })).rejects.toMatchObject({
      code: 'LIBTORCH_LOAD',
    });
    expect(readdirSync(cache)).toEqual(['2.15.0']);
    expect(existsSync(join(cache, '2.15.0', 'torch', 'marker'))).toBe(true);
  },
);

test('needsCudaStubs() knows the two libraries by the words of the loader', () => {
  const fails = (message: string) => needsCudaStubs({ kind: 'fails', message });
  expect(fails('libcupti.so.13: cannot open shared object file: No such file or directory')).toBe(true);
  expect(fails('libcudart.so.13: cannot open shared object file: No such file or directory')).toBe(true);
  expect(fails('libcusparse.so.12: cannot open shared object file: No such file or directory')).toBe(false);
  expect(needsCudaStubs({ kind: 'loads', version: '' })).toBe(false);
});
