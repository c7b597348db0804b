/** @file For tests: folders that look like LibTorch, and programs that are not the real ones. Not used by the program. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Machine } from './machine.ts';

/** Writes files below a folder, by their paths. */
export function writeFiles(root: string, files: Readonly<Record<string, string>>): string {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

/** A folder with every file of a LibTorch that is looked at, all of them empty but the version. */
export function fakeLibtorch(folder: string, version: string): string {
  return writeFiles(folder, {
    'version.py': `__version__ = '${version}'\n`,
    'lib/libtorch_cpu.so': '',
    'lib/libc10.so': '',
    'include/torch/csrc/api/include/torch/version.h': '',
  });
}

/** A folder for PATH, with shell scripts under these names. */
export function fakePrograms(folder: string, scripts: Readonly<Record<string, string>>): string {
  mkdirSync(folder, { recursive: true });
  for (const [name, body] of Object.entries(scripts)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}

/** A Linux machine with nothing but what the environment names. */
export function bareMachine(env: Readonly<Record<string, string>>): Machine {
  return { env, platform: 'linux', arch: 'x64' };
}
