/** @file `selm runs` lists every run that it finds, also one that it cannot read. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { writeStudioRun } from '../server/studio-run.testing.ts';
import { runsCommand } from './runs.ts';

function runs(...args: string[]): string[] {
  const lines: string[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(...line.split('\n')));
  runsCommand().parse(args, { from: 'user' });
  log.mockRestore();
  return lines;
}

test('each run has its state, where it is, and its size; one that is damaged spoils no other', () => {
  const folder = temporaryFolder();
  writeStudioRun(join(folder, 'good'));
  writeFileSync(join(writeStudioRun(join(folder, 'bad')), 'config.yaml'), 'no: run');
  const table = runs(folder);
  expect(table).toHaveLength(3);
  expect(table.find((line) => line.startsWith('good'))).toMatch(/finished +iteration 2\/2, train .* [KM]B$/);
  expect(table.find((line) => line.startsWith('bad'))).toContain('unreadable');
  const [first] = runs(join(folder, 'good'), '--json').map((line) => JSON.parse(line) as object);
  expect(first).toMatchObject({ standing: 'finished', path: join(folder, 'good'), bytes: expect.any(Number) });
});

test('a folder without runs is told how to start one', () => {
  expect(runs(temporaryFolder()).join('\n')).toMatch(/^No runs in .*train recipe\.yaml$/);
});
