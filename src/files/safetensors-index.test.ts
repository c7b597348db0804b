import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HOSTILE_NAMES } from './hostile-names.testing.ts';
import { safetensorsIndex } from './safetensors-index.ts';
import { writeSafetensors } from './safetensors-write.ts';
import { temporaryFolder } from './temporary.testing.ts';

function shard(path: string, names: string[]): void {
  writeSafetensors(
    path,
    names.map((name) => ({ name, dtype: 'U8', shape: [1], bytes: Uint8Array.of(7) })),
  );
}

/** A folder of two shards, and its index with changes. */
function sharded(
  weightMap: Record<string, unknown> = { a: 'one.safetensors', b: 'two.safetensors', c: 'two.safetensors' },
): string {
  const folder = temporaryFolder();
  shard(join(folder, 'one.safetensors'), ['a']);
  shard(join(folder, 'two.safetensors'), ['b', 'c']);
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }));
  return folder;
}

test('safetensorsIndex() reads a single file', () => {
  const folder = temporaryFolder();
  shard(join(folder, 'model.safetensors'), ['x', 'y']);
  const index = safetensorsIndex(folder);
  expect([...index.tensors.keys()]).toEqual(['x', 'y']);
  expect(index.tensors.get('y')).toMatchObject({
    dtype: 'U8',
    begin: 1,
    end: 2,
    file: { path: join(folder, 'model.safetensors') },
  });
});

test('safetensorsIndex() reads shards, also through the links of a download cache', () => {
  const folder = sharded();
  const blob = `${folder}-blob`;
  renameSync(join(folder, 'two.safetensors'), blob);
  symlinkSync(blob, join(folder, 'two.safetensors'));
  const index = safetensorsIndex(folder);
  rmSync(blob);
  expect(index.files.map(({ path }) => path)).toEqual([
    join(folder, 'one.safetensors'),
    join(folder, 'two.safetensors'),
  ]);
  expect([...index.tensors].map(([name, { file }]) => [name, file.path.slice(folder.length + 1)])).toEqual([
    ['a', 'one.safetensors'],
    ['b', 'two.safetensors'],
    ['c', 'two.safetensors'],
  ]);
});

test('safetensorsIndex() names a shard that is missing', () => {
  const folder = sharded();
  rmSync(join(folder, 'two.safetensors'));
  expect(() => safetensorsIndex(folder)).toThrow(
    expect.objectContaining({ code: 'WEIGHTS_MISSING', details: { file: join(folder, 'two.safetensors') } }),
  );
});

test.each([
  [
    'a tensor that its shard does not have',
    { a: 'one.safetensors', b: 'two.safetensors', c: 'two.safetensors', d: 'one.safetensors' },
    'tensor "d" is in "one.safetensors", which does not have it',
  ],
  [
    'a tensor that another shard has',
    { a: 'two.safetensors', b: 'two.safetensors', c: 'one.safetensors' },
    'which does not have it',
  ],
  ['a tensor that it does not name', { a: 'one.safetensors', b: 'two.safetensors' }, 'does not name tensor "c"'],
  ['no tensors', {}, 'empty "weight_map"'],
  ['a shard name that is a number', { a: 1 }, 'gives tensor "a" no file name'],
  ['a shard above the folder', { a: '../x.safetensors' }, 'unsafe shard name "../x.safetensors": it has the part ".."'],
  ['an absolute shard', { a: '/x.safetensors' }, 'unsafe shard name "/x.safetensors": it is an absolute path'],
  ['a shard by URL', { a: 'http://x/y.safetensors' }, 'unsafe shard name'],
  ['a pickle shard', { a: 'pytorch_model.bin' }, 'it does not end with .safetensors'],
  [
    'too many shards',
    Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`t${i}`, `s${i}.safetensors`])),
    'names 10001 shards',
  ],
])('safetensorsIndex() refuses an index with %s', (_, weightMap, problem) => {
  const folder = sharded(weightMap);
  expect(() => safetensorsIndex(folder)).toThrow(
    expect.objectContaining({ name: 'ModelError', code: 'WEIGHTS_INVALID' }),
  );
  expect(() => safetensorsIndex(folder)).toThrow(problem);
  expect(() => safetensorsIndex(folder)).toThrow(join(folder, 'model.safetensors.index.json'));
});

test('safetensorsIndex() refuses a tensor that two shards have', () => {
  const folder = sharded();
  shard(join(folder, 'one.safetensors'), ['a', 'b']);
  expect(() => safetensorsIndex(folder)).toThrow(
    `"${join(folder, 'two.safetensors')}": tensor "b" is also in "${join(folder, 'one.safetensors')}": keep one`,
  );
});

test.each([
  ['is not JSON', 'not json', 'cannot be read: expected a value'],
  ['has a key twice', '{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}', 'key "a" comes twice'],
  ['is a list', '[]', 'has no object "weight_map"'],
  ['has no weight map', '{}', 'has no object "weight_map"'],
])('safetensorsIndex() refuses an index that %s', (_, text, problem) => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'model.safetensors.index.json'), text);
  expect(() => safetensorsIndex(folder)).toThrow(problem);
});

test('safetensorsIndex() refuses an index beyond any real one without reading it', () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'model.safetensors.index.json'), Buffer.alloc(100_000_001));
  expect(() => safetensorsIndex(folder)).toThrow('is larger than 100000000 bytes');
});

test('safetensorsIndex() says what a folder without weights lacks', () => {
  const folder = temporaryFolder();
  expect(() => safetensorsIndex(folder)).toThrow('it has no model.safetensors and no model.safetensors.index.json');
  writeFileSync(join(folder, 'pytorch_model.bin'), 'pickle');
  expect(() => safetensorsIndex(folder)).toThrow(
    'it has "pytorch_model.bin" but no model.safetensors, and pickle files can run code',
  );
  expect(() => safetensorsIndex(join(folder, 'missing'))).toThrow(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }));
  expect(() => safetensorsIndex(join(folder, 'pytorch_model.bin'))).toThrow('it is not a folder');
});

test('safetensorsIndex() reports a weight file that cannot be reached', () => {
  const folder = temporaryFolder();
  symlinkSync('model.safetensors', join(folder, 'model.safetensors'));
  expect(() => safetensorsIndex(folder)).toThrow(
    expect.objectContaining({ code: 'WEIGHTS_UNREADABLE', message: expect.stringContaining('ELOOP') }),
  );
});

test.each(['', '.safetensors'])('safetensorsIndex() opens no shard by a hostile name followed by "%s"', (end) => {
  for (const name of HOSTILE_NAMES) {
    const folder = sharded({ a: 'one.safetensors', b: `${name}${end}`, c: 'two.safetensors' });
    // Points before an extension make a name of their own, which is not there.
    expect(() => safetensorsIndex(folder), JSON.stringify(name + end)).toThrow(
      expect.objectContaining({ name: 'ModelError', code: expect.stringMatching(/^WEIGHTS_(INVALID|MISSING)$/) }),
    );
  }
});
