import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { programFor } from '../program.ts';

const folder = mkdtempSync(join(tmpdir(), 'selm-bench-cli-'));
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

it('selm bench exploration runs a grid, and leaves its results as JSON, tables and a picture', async () => {
  const file = join(folder, 'grid.yaml');
  const output = join(folder, 'out');
  writeFileSync(
    file,
    `name: small
output: ${JSON.stringify(output)}
seeds: { first: 1, count: 3 }
labels: 16
labelsAnIteration: 8
worlds: [{ name: small, prompts: 2, responses: 12, features: 2 }]
baseline: dpo
drawn: [dpo]
methods: [{ name: dpo }, { name: hot, temperature: 2 }]
`,
  );
  let said = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    said += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
  const words = ['bench', 'exploration', file];
  await (await programFor(words, { usage: 'silent' })).parseAsync(words, { from: 'user' });
  expect(said).toContain('| hot |');
  expect(existsSync(join(output, 'results.svg'))).toBe(true);
  expect(readFileSync(join(output, 'results.md'), 'utf8')).toContain('### small');
  const { formatVersion, overall } = JSON.parse(readFileSync(join(output, 'results.json'), 'utf8')) as {
    formatVersion: number;
    overall: { method: string }[];
  };
  expect([formatVersion, overall.map(({ method }) => method)]).toEqual([1, ['dpo', 'hot']]);

  // What was recorded gives the same tables where no cell is left.
  const record = join(folder, 'runs.json');
  cpSync(join(output, 'runs.json'), record);
  rmSync(output, { recursive: true });
  const tables = said;
  said = '';
  const again = [...words, '--recorded', record];
  await (await programFor(again, { usage: 'silent' })).parseAsync(again, { from: 'user' });
  expect(said).toBe(tables);
}, 60_000);
