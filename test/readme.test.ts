/**
 * @file The README's commands, run in their order in one folder, as a newcomer would: a model, prompts and a reward of one's own,
 * on the story model. What needs a network or weights that are not here is named below.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { packageRoot } from '../src/files/package-root.ts';
import { openLedger } from '../src/store/ledger.ts';

const folder = mkdtempSync(join(tmpdir(), 'selm-readme-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Commands that are not run, and why. */
const NOT_RUN: readonly [begin: string, reason: string][] = [
  ['selm eval ./my-model --on', 'the rows of benchmarks come from the Hub'],
  ['selm sft recipes/sft.yaml', 'it is run with the other recipes (test/recipes)'],
  ['selm sweep recipes/sweeps/alpha.yaml', 'thirty runs; a small sweep is test/sweep.test.ts'],
  ['selm push', 'it needs the Hub and a token; src/hub/push.test.ts plays one'],
  ['selm studio', 'it serves until it is stopped (src/server/app.test.ts)'],
  ['selm rank rows.jsonl --ranker pairrm', 'PairRM has weights of 1.7 GB'],
];
/** What makes the run small, put into the recipe that `selm init` wrote: the commands run as they stand. */
const SMALLER: readonly [path: string[], value: number][] = [
  [['sampling', 'maxNewTokens'], 8],
  [['text', 'maxLength'], 64],
  [['text', 'maxPromptLength'], 32],
  [['threads'], 1],
];

const readme = readFileSync(join(packageRoot, 'README.md'), 'utf8');
const commands = [...readme.matchAll(/^bin\/(selm .*)$/gm)]
  .map(([, line = '']) => line.replace(/\s+#.*$/, '').trim())
  .filter((line) => !NOT_RUN.some(([begin]) => line.startsWith(begin)));

function prepare(): void {
  cpSync(join(packageRoot, 'assets', 'stories260K'), join(folder, 'my-model'), { recursive: true });
  const names = ['Lily', 'Tom', 'Mia', 'Ben'];
  const rows = names.flatMap((name) =>
    ['park', 'shop', 'sea'].map((place) => ({ prompt: `${name} went to the ${place}.` })),
  );
  writeFileSync(join(folder, 'prompts.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  writeFileSync(
    join(folder, 'reward.ts'),
    'export function reward(_prompt: string, responses: string[]): number[] {\n  return responses.map((text) => text.length);\n}\n',
  );
  const parquet = join(packageRoot, 'test', 'fixtures', 'data', 'train_prefs-snappy.parquet');
  cpSync(parquet, join(folder, 'train_prefs.parquet'));
}

/** Runs a command line of the README in the folder and returns what it printed. */
function run(line: string): string {
  const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '').slice(1);
  return node([join(packageRoot, 'bin', 'selm'), ...words], line);
}

/** Runs Node in the folder and returns what it printed. */
function node(args: readonly string[], what: string): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, SELM_THREADS: '1' },
  });
  expect(status, `${what}\n${stdout}${stderr}`).toBe(0);
  return stdout;
}

function makeSmaller(file: string): void {
  const recipe = parseDocument(readFileSync(file, 'utf8'));
  for (const [path, value] of SMALLER) recipe.setIn(path, value);
  writeFileSync(file, recipe.toString());
}

/** The README's library example as a program of its own, in plain JavaScript: it has no types. */
function runLibraryExample(): string {
  const [, code = ''] = /^```ts\n(import [\s\S]*?)^```/m.exec(readme) ?? [];
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(packageRoot, join(folder, 'node_modules', 'selm'));
  writeFileSync(join(folder, 'example.mjs'), `const { signal } = new AbortController();\n${code}`);
  return node([join(folder, 'example.mjs')], code);
}

it('runs from init to the report', { timeout: 240_000 }, () => {
  prepare();
  expect(commands.length).toBeGreaterThan(7);
  for (const line of commands) {
    if (line.includes('PAIR')) {
      using ledger = openLedger(join(folder, 'runs', 'quickstart', 'run.db'), { access: 'read' });
      expect(run(line.replace('PAIR', ledger.pairs(1)[0]?.pairId ?? ''))).toContain('became CHOSEN');
    } else expect(run(line), line).not.toBe('');
    if (line.startsWith('selm init my.yaml')) makeSmaller(join(folder, 'my.yaml'));
    // The commands after it look at the quickstart's run.
    if (line === 'selm train my.yaml')
      cpSync(join(folder, 'runs', 'my'), join(folder, 'runs', 'quickstart'), { recursive: true });
  }
  for (const [begin] of NOT_RUN) expect(readme).toContain(begin);
  // The run is finished: the program goes on with it, and says where its model is.
  expect(runLibraryExample()).toContain(join('runs', 'my', 'iteration-3', 'model'));
});
