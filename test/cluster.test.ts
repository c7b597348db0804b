/** @file The files of examples/cluster: each has a command that selm takes, and what their launchers set gives ranks a place. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { programFor, withDescendants } from '../src/cli/program.ts';
import { packageRoot } from '../src/files/package-root.ts';

const folder = join(packageRoot, 'examples', 'cluster');
const files = readdirSync(folder);

/** The words after `selm` in the command of a file. */
function selmWords(name: string): string[] {
  const text = readFileSync(join(folder, name), 'utf8');
  if (name.endsWith('.yaml')) {
    const { spec } = parse(text) as { spec: { trainer: { command: string[] } } };
    return spec.trainer.command.slice(1);
  }
  const lines = text.split('\n').filter((line) => !line.startsWith('#'));
  const command = lines.map((line) => /(?:^|\s)bin\/selm\s+(.*)$/.exec(line)?.[1]).find((each) => each !== undefined);
  return (command ?? '').split(/\s+/);
}

it('there is a file for each launcher of docs/scale.md', () => {
  const page = readFileSync(join(packageRoot, 'docs', 'scale.md'), 'utf8');
  const named = [...page.matchAll(/examples\/cluster\/([\w.]+)/g)].map(([, name]) => name);
  expect(named.sort()).toEqual(files.sort());
});

it.each(files)('%s has a command that selm takes', async (name) => {
  const program = await programFor(selmWords(name), { usage: 'silent' });
  const ran: string[] = [];
  for (const command of withDescendants(program)) command.action(() => void ran.push(command.name()));
  program.parse(selmWords(name), { from: 'user' });
  expect(ran).toEqual(['train']);
});
