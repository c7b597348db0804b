/** @file `selm clean` shows what may go, and deletes it only when told to. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { writeStudioRun } from '../server/studio-run.testing.ts';
import { cleanCommand } from './clean.ts';

/** A finished run of two iterations, each with a model, the first also with checkpoints. */
function finishedRun() {
  const path = writeStudioRun(join(temporaryFolder(), 'run'));
  const [first, last, checkpoints] = ['iteration-1/model', 'iteration-2/model', 'iteration-1/checkpoints'].map(
    (name) => {
      mkdirSync(join(path, name), { recursive: true });
      writeFileSync(join(path, name, 'model.safetensors'), Buffer.alloc(1000));
      return join(path, name);
    },
  ) as [string, string, string];
  return { path, standing: () => [first, last, checkpoints].map((folder) => existsSync(folder)) };
}

function clean(...args: string[]): string {
  const lines: string[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line));
  cleanCommand().parse(args, { from: 'user' });
  log.mockRestore();
  return lines.join('\n');
}

test('without --yes it shows what may be deleted and the command that does it, and deletes nothing', () => {
  const { path, standing } = finishedRun();
  const shown = clean(path);
  expect(shown).toMatch(/iteration-1\/checkpoints.*iteration-1\/model/s);
  expect(shown).toMatch(/Deleting these frees 2\.0 KB: .*clean .* --yes$/);
  expect(standing()).toEqual([true, true, true]);
});

test('--yes deletes what was shown and leaves the last model; a second time there is nothing', () => {
  const { path, standing } = finishedRun();
  expect(clean(path, '--yes')).toContain('Deleted: 2.0 KB');
  expect(standing()).toEqual([false, true, false]);
  expect(clean(path, '--yes')).toContain('Nothing of');
});

test('--keep-models leaves every model; --json says what was deleted', () => {
  const { path, standing } = finishedRun();
  expect(JSON.parse(clean(path, '--keep-models', '--yes', '--json'))).toMatchObject({
    deleted: true,
    bytes: 1000,
    disposables: [{ kind: 'checkpoint' }],
  });
  expect(standing()).toEqual([true, true, false]);
});
