/**
 * @file Examples of the pages, run as they stand: the rewards of docs/rewards.md, the commands of docs/data.md, and what the
 * example program reads and writes. That all other examples parse and compile is in docs.test.ts; the README's are run in readme.test.ts.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, expect, it } from 'vitest';
import { packageRoot } from '../src/files/package-root.ts';

const folder = mkdtempSync(join(tmpdir(), 'selm-pages-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const page = (name: string): string => readFileSync(join(packageRoot, 'docs', name), 'utf8');

/** The blocks of a page in a language, in their order. */
function blocks(name: string, language: string): string[] {
  return [...page(name).matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    ([, code = '']) => code,
  );
}

/** The command lines of a page that begin with some words, without their comments. */
function commandsOf(name: string, begin: string): string[] {
  const lines = page(name).matchAll(new RegExp(`^ *(?:bin/)?(${begin} .*)$`, 'gm'));
  return [...lines].map(([, line = '']) => line.replace(/\s+#.*$/, '').trim());
}

/** Runs a command line of a page in the folder and returns what it printed. */
function run(line: string): string {
  const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '').slice(1);
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(packageRoot, 'bin', 'selm'), ...words], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, SELM_THREADS: '1' },
  });
  expect(status, `${line}\n${stdout}${stderr}`).toBe(0);
  return `${stdout}${stderr}`;
}

it('docs/rewards.md: its module and the program rank a file of rows', () => {
  writeFileSync(join(folder, 'reward.ts'), blocks('rewards.md', 'ts')[0] ?? '');
  copyFileSync(join(packageRoot, 'examples', 'reward.py'), join(folder, 'reward.py'));
  const rows = [{ prompt: 'Where do penguins live?', responses: ['Penguins live in the south.', 'No.'] }];
  writeFileSync(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const verdicts = commandsOf('rewards.md', 'selm rank').map(run);
  expect(verdicts).toHaveLength(2);
  // The module prefers the shorter response, the program the one that takes up words of the prompt.
  expect(verdicts[0]).toContain('"order":[1,0]');
  expect(verdicts[1]).toContain('"order":[0,1]');
});

it('docs/rewards.md: the program takes the question of the page, and answers in the form of the page', () => {
  const [question = '', answer = ''] = blocks('rewards.md', 'json');
  const { status, stdout } = spawnSync('python3', [join(packageRoot, 'examples', 'reward.py')], {
    input: question,
    encoding: 'utf8',
  });
  expect(status).toBe(0);
  const shapeOf = (line: string) => {
    const { id, scores } = JSON.parse(line) as { id: number; scores: number[] };
    return { id, scores: scores.length };
  };
  expect(shapeOf(stdout)).toEqual(shapeOf(answer));
});

it('docs/data.md: its commands audit and convert', () => {
  const fixtures = join(packageRoot, 'test', 'fixtures', 'data');
  copyFileSync(join(fixtures, 'train_prefs-snappy.parquet'), join(folder, 'train.parquet'));
  copyFileSync(join(fixtures, 'ultrafeedback-140.jsonl.gz'), join(folder, 'pairs.jsonl.gz'));
  cpSync(join(packageRoot, 'assets', 'stories260K'), join(folder, 'model'), { recursive: true });
  writeFileSync(join(folder, 'rows.csv'), 'question\nWhere do penguins live?\n');
  const rows = gunzipSync(readFileSync(join(folder, 'pairs.jsonl.gz')))
    .toString()
    .trim()
    .split('\n').length;
  const [withModel = '', withColumns = ''] = commandsOf('data.md', 'selm data audit').map(run);
  expect(withModel).toContain('Longest row:');
  expect(withColumns).toContain('1 used');
  for (const line of commandsOf('data.md', 'selm data convert')) expect(run(line)).toContain(String(rows));
  expect(existsSync(join(folder, 'pairs.parquet'))).toBe(true);
});
