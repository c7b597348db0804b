/** @file bin/selm: what it says before anything of the program is loaded. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

const bin = fileURLToPath(new URL('../bin', import.meta.url));

function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'selm-test-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test('bin/selm without node_modules says `npm ci` in one line', () => {
  const root = temporaryFolder();
  cpSync(bin, join(root, 'bin'), { recursive: true });
  const { status, stderr } = spawnSync(join(root, 'bin', 'selm'), ['doctor'], { encoding: 'utf8' });
  expect(stderr).toBe(`Cannot run selm: its dependencies are not installed: run \`npm ci\` in ${root}\n`);
  expect(status).toBe(2);
});

test('bin/selm refuses an old Node in one line', () => {
  const preload = join(temporaryFolder(), 'old.cjs');
  writeFileSync(preload, "Object.defineProperty(process, 'versions', { value: { node: '18.20.8' } });");
  const { status, stderr } = spawnSync(process.execPath, ['-r', preload, join(bin, 'selm'), 'doctor'], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('Cannot run selm on Node 18.20.8: 20.19 or newer is needed: see https://nodejs.org\n');
  expect(status).toBe(2);
});

test('bin/selm works through a symbolic link, from any folder', () => {
  const folder = temporaryFolder();
  symlinkSync(join(bin, 'selm'), join(folder, 'selm'));
  const { status, stdout } = spawnSync(join(folder, 'selm'), ['--help'], { cwd: folder, encoding: 'utf8' });
  expect(stdout).toContain('Usage: selm');
  expect(status).toBe(0);
});
