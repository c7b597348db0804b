/** @file bin/selm: what it says before anything of the program is loaded. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

const { ENTRIES } = createRequire(import.meta.url)('../bin/program.js') as { ENTRIES: Record<string, string> };
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

/** A package of one line a module, and what its program prints. */
function smallPackage() {
  const root = temporaryFolder();
  cpSync(bin, join(root, 'bin'), { recursive: true });
  for (const name of ['package.json', 'tsconfig.json']) cpSync(join(bin, '..', name), join(root, name));
  symlinkSync(join(bin, '..', 'node_modules'), join(root, 'node_modules'));
  const write = (name: string, text: string) => {
    mkdirSync(dirname(join(root, 'src', name)), { recursive: true });
    writeFileSync(join(root, 'src', name), text);
  };
  for (const file of Object.values(ENTRIES)) write(file.slice('src/'.length), '');
  write('cli/main.ts', "import { place } from '../files/place.ts';\nconsole.log(place satisfies string);");
  write('files/place.ts', "export const place: string = new URL('beside.txt', import.meta.url).pathname;");
  const run = () => {
    const { status, stdout, stderr } = spawnSync(join(root, 'bin', 'selm'), [], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return stdout.trim();
  };
  return { root, write, run };
}

test('bin/selm bundles the sources once, and again when one changed; their places stay those of the sources', () => {
  const { root, write, run } = smallPackage();
  const bundles = () => readdirSync(join(root, 'build', 'program'));
  expect(run()).toBe(join(root, 'src/files/beside.txt'));
  expect(run()).toBe(join(root, 'src/files/beside.txt'));
  expect(bundles()).toHaveLength(1);
  write('cli/main.ts', "console.log('changed')");
  expect(run()).toBe('changed');
  expect(bundles()).toHaveLength(2);
});

test('bin/selm runs without a bundle where none can be written', () => {
  const { root, run } = smallPackage();
  writeFileSync(join(root, 'build'), 'a file in the place of the folder');
  expect(run()).toBe(join(root, 'src/files/beside.txt'));
});
