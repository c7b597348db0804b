import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nameProblem, safePath } from './safe-path.ts';
import { temporaryFolder } from './temporary.testing.ts';

const hostileNames = [
  '',
  '.',
  '..',
  '...',
  '../secret',
  'a/../../secret',
  'a/..',
  './a',
  'a/./b',
  'a//b',
  '/',
  '/etc/passwd',
  '//host/share',
  'a/',
  '..\\secret',
  'a\\b',
  'C:\\x',
  'C:x',
  'file:///etc/passwd',
  'http://x/y',
  '\0',
  'a\0.safetensors',
  'a\nb',
  'a\tb',
  ' a',
  'a ',
  'a.',
  'a./b',
  '%2e%2e/secret',
  '%252e%252e%252fsecret',
  '..%2fsecret',
  '..%5csecret',
  '%00',
  '%c0%ae%c0%ae/x',
  '\u002e\u002e/x',
  '\uff0e\uff0e/x',
  '\u2025/x',
  '\u2215etc',
  '\u29f8etc',
  '\u202etxt',
  'a\u0301',
  'é',
  '\ud800',
  'CON',
  'con',
  'con.txt',
  'NUL',
  'nul.safetensors',
  'AUX',
  'PRN.json',
  'COM1',
  'com9.log',
  'LPT1',
  'a/CON/b',
  'a:b',
  'a::$DATA',
  'a*',
  'a?',
  'a|b',
  'a<b',
  'a>b',
  'a"b',
  "a'b",
  'a;b',
  'a&b',
  'a$b',
  '$(x)',
  '`x`',
  '~',
  '~root/x',
  '{a,b}',
  '[a]',
  '#a',
  '!a',
  'x'.repeat(256),
  'a/'.repeat(600),
];

test(`safePath() refuses each of ${hostileNames.length} hostile names`, () => {
  const root = temporaryFolder();
  expect(hostileNames.length).toBeGreaterThanOrEqual(60);
  for (const name of hostileNames) {
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
