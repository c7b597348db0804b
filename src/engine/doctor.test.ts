import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import type { Check } from './checks.ts';
import { diagnose, formatReport } from './doctor.ts';
import { bareMachine, fakeLibtorch, fakePrograms, writeFiles } from './places.testing.ts';

const find = (checks: readonly Check[], name: string) => checks.find((check) => check.name === name);

test('diagnose() works with nothing installed and says of each tool how to get it', () => {
  const root = temporaryFolder();
  const path = fakePrograms(join(root, 'bin'), { 'apt-get': '' });
  const machine = bareMachine({ PATH: path, XDG_CACHE_HOME: root });
  const report = diagnose({ machine, engine: join(root, 'none') });
  expect(report.status).toBe('problem');
  expect(find(report.checks, 'compiler')).toEqual({
    name: 'compiler',
    status: 'problem',
    detail: 'not found (the engine is built with it)',
    fix: 'run `sudo apt-get install g++`',
  });
  expect(find(report.checks, 'engine')).toMatchObject({ status: 'problem', fix: 'run `selm engine install`' });
  expect(find(report.checks, 'gpu')).toMatchObject({ status: 'ok' });
  // Each problem comes with its fix.
  expect(report.checks.filter((check) => check.status === 'problem' && check.fix === null)).toEqual([]);
});

test('diagnose() names pip when only pip is missing', () => {
  const path = fakePrograms(temporaryFolder(), {
    python3: 'case "$*" in *pip*) exit 1;; *) echo Python 3.12.1;; esac',
  });
  const { checks } = diagnose({ machine: bareMachine({ PATH: path }), engine: '/nowhere' });
  expect(find(checks, 'python3')).toMatchObject({ status: 'ok', detail: expect.stringContaining('Python 3.12.1') });
  expect(find(checks, 'pip')).toMatchObject({ status: 'problem', fix: expect.stringContaining('python3-pip') });
});

test('diagnose() reports an engine that does not load, and lives', () => {
  const root = temporaryFolder();
  const libtorchDirectory = fakeLibtorch(join(root, 'torch'), '2.15.0');
  const record = { formatVersion: 1, libtorchVersion: '2.15.0', libtorchDirectory, sourcesSha256: 'of other sources' };
  const engine = writeFiles(join(root, 'engine'), { 'selm.node': 'broken', 'engine.json': JSON.stringify(record) });
  const { checks } = diagnose({ machine: bareMachine({ PATH: '' }), engine });
  expect(find(checks, 'engine')).toMatchObject({ status: 'warning', fix: 'run `selm engine install`' });
  expect(find(checks, 'engine loads')).toMatchObject({ status: 'problem', fix: 'run `selm engine install --force`' });
});

test('diagnose() takes a wrong $LIBTORCH for a problem', () => {
  const { checks } = diagnose({ machine: bareMachine({ PATH: '', LIBTORCH: '/nowhere' }), engine: '/nowhere' });
  expect(find(checks, 'libtorch ($LIBTORCH)')).toMatchObject({
    status: 'problem',
    detail: expect.stringContaining('the folder does not exist'),
  });
});

test('diagnose() refuses a Node below 20.19', () => {
  const node = (nodeVersion: string) =>
    find(diagnose({ machine: bareMachine({ PATH: '' }), engine: '/nowhere', nodeVersion }).checks, 'node')?.status;
  expect([node('18.20.8'), node('20.19.0')]).toEqual(['problem', 'ok']);
});

test('formatReport() prints one line a check, the fix below it, and counts', () => {
  const checks: Check[] = [
    { name: 'node', status: 'ok', detail: '22.1.0', fix: null },
    { name: 'cmake', status: 'problem', detail: 'not found', fix: 'install it' },
  ];
  expect(formatReport({ formatVersion: 1, status: 'problem', checks })).toBe(
    [
      'ok       node   22.1.0',
      'problem  cmake  not found',
      '                fix: install it',
      '1 problem, 0 warnings',
    ].join('\n'),
  );
});
