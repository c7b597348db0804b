import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HOSTILE_NAMES } from './hostile-names.testing.ts';
import { nameProblem, safePath } from './safe-path.ts';
import { temporaryFolder } from './temporary.testing.ts';

test(`safePath() refuses each of ${HOSTILE_NAMES.length} hostile names`, () => {
  const root = temporaryFolder();
  expect(HOSTILE_NAMES.length).toBeGreaterThanOrEqual(60);
  for (const name of HOSTILE_NAMES) {
    expect(nameProblem(name), JSON.stringify(name)).not.toBeNull();
    expect(() => safePath(root, name), JSON.stringify(name)).toThrow(/^Cannot use the name/);
    expect(() => safePath(root, name, { links: 'follow' }), JSON.stringify(name)).toThrow(/^Cannot use the name/);
  }
});

test('safePath() keeps a hostile name short in its message and whole in its details', () => {
  const name = 'x'.repeat(5000);
  expect(() => safePath('/root', name)).toThrow(
    expect.objectContaining({ code: 'UNSAFE_PATH', details: expect.objectContaining({ name }) }),
  );
  expect(() => safePath('/root', name)).toThrow(/^.{0,250}$/);
});

test('safePath() accepts the names that model folders have', () => {
  const root = temporaryFolder();
  const names = [
    'model-00001-of-00002.safetensors',
    'config.json',
    '.gitattributes',
    'original/params.json',
    '__proto__',
    'a+b=c@1',
  ];
  for (const name of names) expect(safePath(root, name)).toBe(join(root, name));
  expect(safePath('/', 'etc')).toBe('/etc');
  expect(safePath(join(root, 'missing'), 'a/b')).toBe(join(root, 'missing/a/b'));
});

test('safePath() refuses links that leave the folder, also to a sibling that starts with its name', () => {
  const parent = temporaryFolder();
  const root = join(parent, 'root');
  mkdirSync(join(root, 'inner'), { recursive: true });
  mkdirSync(join(parent, 'root-sibling'));
  writeFileSync(join(parent, 'root-sibling/file'), 'x');
  symlinkSync(join(parent, 'root-sibling'), join(root, 'out'));
  symlinkSync(join(parent, 'root-sibling/file'), join(root, 'file'));
  symlinkSync('/nowhere/at/all', join(root, 'dangling'));
  symlinkSync('loop', join(root, 'loop'));
  symlinkSync('inner', join(root, 'in'));
  expect(() => safePath(root, 'out/file')).toThrow('a link that leaves the folder');
  expect(() => safePath(root, 'file')).toThrow('a link that leaves the folder');
  expect(() => safePath(root, 'dangling')).toThrow('a link that leads nowhere');
  expect(() => safePath(root, 'loop')).toThrow('Cannot follow');
  expect(safePath(root, 'in/new')).toBe(join(root, 'in/new'));
  expect(safePath(root, 'out/file', { links: 'follow' })).toBe(join(root, 'out/file'));
});
