import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import {
  type Candidate,
  choices,
  compareVersions,
  judge,
  libtorchCache,
  locateLibtorch,
  sameFolder,
} from './locate.ts';
import { bareMachine, fakeLibtorch, fakePrograms, writeFiles } from './places.testing.ts';

test.each([
  ['2.15.0', '2.8', 1],
  ['2.8', '2.8.0', 0],
  ['2.15.0+cu132', '2.15.0', 0],
  ['2.7.1', '2.8', -1],
  ['2.15.0', '2.15.1', -1],
  ['20.19.0', '20.19', 0],
  ['20.9.0', '20.19', -1],
  ['nonsense', '1', -1],
])('compareVersions(%s, %s) is %i', (a, b, expected) => {
  expect(compareVersions(a, b)).toBe(expected);
});

test('judge() takes a folder of the default minor, whatever its build', () => {
  const folder = fakeLibtorch(temporaryFolder(), '2.15.3+cpu');
  expect(judge('cache', folder)).toEqual({
    source: 'cache',
    directory: folder,
    version: '2.15.3+cpu',
    verdict: { kind: 'usable' },
  });
});

test('judge() finds LibTorch inside site-packages', () => {
  const site = temporaryFolder();
  fakeLibtorch(join(site, 'torch'), '2.15.0');
  expect(judge('given', site).directory).toBe(join(site, 'torch'));
});

test('judge() takes another minor only from $LIBTORCH', () => {
  const folder = fakeLibtorch(temporaryFolder(), '2.13.0');
  const reason = `not 2.15: set LIBTORCH=${folder} to use it all the same`;
  expect(judge('python', folder).verdict).toEqual({ kind: 'unusable', reason });
  expect(judge('LIBTORCH', folder).verdict).toEqual({ kind: 'usable' });
});

test('judge() refuses what is older than the floor, from $LIBTORCH too', () => {
  const folder = fakeLibtorch(temporaryFolder(), '2.7.1');
  expect(judge('LIBTORCH', folder).verdict).toEqual({ kind: 'unusable', reason: 'older than 2.11' });
});

test('judge() names the file that is missing', () => {
  const folder = writeFiles(temporaryFolder(), { 'version.py': "__version__ = '2.15.0'" });
  const reason = `${join(folder, 'lib', 'libtorch_cpu.so')} is missing`;
  expect(judge('LIBTORCH', folder).verdict).toEqual({ kind: 'unusable', reason });
  expect(judge('LIBTORCH', '/nowhere').verdict).toEqual({ kind: 'unusable', reason: 'the folder does not exist' });
});

test('judge() reads the version of a distribution from its headers', () => {
  const folder = writeFiles(temporaryFolder(), {
    'include/torch/csrc/api/include/torch/version.h':
      '#define TORCH_VERSION_MAJOR 1\n#define TORCH_VERSION_MINOR 13\n#define TORCH_VERSION_PATCH 1\n',
  });
  expect(judge('system', folder)).toMatchObject({ version: '1.13.1', verdict: { reason: 'older than 2.11' } });
});

test('locateLibtorch() looks at $LIBTORCH, then Python, then the cache with the default version first', () => {
  const root = temporaryFolder();
  const named = fakeLibtorch(join(root, 'named'), '2.15.0');
  const python = fakeLibtorch(join(root, 'python', 'torch'), '2.15.0');
  const cache = join(root, 'cache', 'selm', 'libtorch');
  for (const version of ['2.9.0', '2.15.0', '2.16.0']) fakeLibtorch(join(cache, version, 'torch'), version);
  mkdirSync(join(cache, '.fetching-1'));
  const path = fakePrograms(join(root, 'bin'), { python3: `echo ${python}` });
  const machine = bareMachine({ PATH: path, LIBTORCH: named, XDG_CACHE_HOME: join(root, 'cache') });
  const found = locateLibtorch(machine).filter((candidate) => candidate.source !== 'system');
  expect(found.map(({ source, directory }) => [source, directory])).toEqual([
    ['LIBTORCH', named],
    ['python', python],
    ['cache', join(cache, '2.15.0', 'torch')],
    ['cache', join(cache, '2.16.0', 'torch')],
    ['cache', join(cache, '2.9.0', 'torch')],
  ]);
});

test('locateLibtorch() lists a wrong $LIBTORCH, and survives a Python that breaks', () => {
  const path = fakePrograms(temporaryFolder(), { python3: 'echo broken >&2; exit 3' });
  const machine = bareMachine({ PATH: path, LIBTORCH: '/nowhere', XDG_CACHE_HOME: '/nowhere' });
  const found = locateLibtorch(machine).filter((candidate) => candidate.source !== 'system');
  expect(found.map(({ source }) => source)).toEqual(['LIBTORCH']);
});

const candidate = (source: Candidate['source'], directory: string, usable = true): Candidate => ({
  source,
  directory,
  version: '2.15.0',
  verdict: usable ? { kind: 'usable' } : { kind: 'unusable', reason: 'test' },
});

test('choices() leaves only $LIBTORCH once it is set, even when it is wrong', () => {
  const all = [candidate('LIBTORCH', '/a', false), candidate('cache', '/b')];
  expect(choices(all, null).map(({ directory }) => directory)).toEqual(['/a']);
});

test('choices() keeps the order of the search and drops what cannot be used', () => {
  const all = [candidate('python', '/a', false), candidate('python', '/b'), candidate('cache', '/c')];
  expect(choices(all, null).map(({ directory }) => directory)).toEqual(['/b', '/c']);
});

test('choices() puts the folder of the engine that is built first', () => {
  const root = temporaryFolder();
  const [python, cache] = [fakeLibtorch(join(root, 'p'), '2.15.0'), fakeLibtorch(join(root, 'c'), '2.15.0')];
  const all = [candidate('python', python), candidate('cache', cache)];
  expect(choices(all, cache).map(({ directory }) => directory)).toEqual([cache, python]);
});

test('sameFolder() sees through symbolic links', () => {
  const root = temporaryFolder();
  mkdirSync(join(root, 'real'));
  symlinkSync(join(root, 'real'), join(root, 'link'));
  expect(sameFolder(join(root, 'link'), join(root, 'real'))).toBe(true);
  expect(sameFolder(join(root, 'real'), root)).toBe(false);
  expect(sameFolder('/nowhere', '/nowhere')).toBe(false);
});

test('libtorchCache() is below XDG_CACHE_HOME, or below ~/.cache', () => {
  expect(libtorchCache(bareMachine({ XDG_CACHE_HOME: '/x', HOME: '/h' }))).toBe('/x/selm/libtorch');
  expect(libtorchCache(bareMachine({ HOME: '/h' }))).toBe('/h/.cache/selm/libtorch');
});
