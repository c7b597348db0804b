/**
 * @file The README's commands, run in their order in one folder, as a newcomer would: a model, prompts and a reward of one's own,
 * on the story model. What needs a network or weights that are not here is named below.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
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
/** What makes the run small; everything else is the command as it stands. */
const SMALLER = ['sampling.maxNewTokens=8', 'text.maxLength=64', 'text.maxPromptLength=32', 'threads=1'];

const commands = [...readFileSync(join(packageRoot, 'README.md'), 'utf8').matchAll(/^bin\/(selm .*)$/gm)]
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
  const isRun = words[0] === 'train';
  const args = isRun ? [...words, ...SMALLER.flatMap((setting) => ['--set', setting])] : words;
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(packageRoot, 'bin', 'selm'), ...args], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, SELM_THREADS: '1' },
  });
  expect(status, `${line}\n${stdout}${stderr}`).toBe(0);
  return stdout;
}

it('runs from init to the report', { timeout: 240_000 }, () => {
  prepare();
  expect(commands.length).toBeGreaterThan(7);
  for (const line of commands) {
    if (line.includes('PAIR')) {
      using ledger = openLedger(join(folder, 'runs', 'quickstart', 'run.db'), { access: 'read' });
      expect(run(line.replace('PAIR', ledger.pairs(1)[0]?.pairId ?? ''))).toContain('became CHOSEN');
    } else expect(run(line), line).not.toBe('');
    // The commands after it look at the quickstart's run.
    if (line === 'selm train my.yaml')
      cpSync(join(folder, 'runs', 'my'), join(folder, 'runs', 'quickstart'), { recursive: true });
  }
  for (const [begin] of NOT_RUN) expect(readFileSync(join(packageRoot, 'README.md'), 'utf8')).toContain(begin);
});
