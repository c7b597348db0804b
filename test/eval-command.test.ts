/** @file `selm eval` as a user runs it: results that are there, a judge on loopback, and a small model on benchmark rows. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packageRoot } from '../src/files/package-root.ts';
import { startFakeHub } from '../src/hub/fake-hub.testing.ts';
import { completion, type JudgeServer, startServer } from '../src/rank/judge/server.testing.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const fixtures = join(here, 'fixtures/evaluate');
const stories = join(packageRoot, 'assets', 'stories260K');
let folder = '';
let server: JudgeServer;

/** Of MT-Bench: 6 where a reference is shown, else 8, none for a question about haiku. */
function rating(text: string): string {
  if (text.includes('haiku')) return 'I would rather not.';
  return `Rating: [[${text.includes('Reference') ? 6 : 8}]]`;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'selm-eval-'));
  // Always 90 % for the output shown first; a word of one instruction makes it refuse.
  server = await startServer(({ body }) => {
    const text = body.messages.map(({ content }) => content).join('\n');
    if (text.includes('[[rating]]')) return { kind: 'reply', body: completion(rating(text)) };
    if (text.includes('forbidden')) return { kind: 'reply', body: completion('I cannot', { I: -0.1, no: -2 }) };
    return { kind: 'reply', body: completion('m', { m: Math.log(0.9), M: Math.log(0.1) }) };
  });
  const write = (name: string, rows: unknown[]) => writeFileSync(join(folder, name), JSON.stringify(rows));
  // Python's generator switches the first of these instructions and not the second.
  const instructions = ['What are the names?', 'prompt 4', 'a forbidden thing', 'prompt 7', 'never answered'];
  write(
    'baseline.json',
    instructions.map((instruction) => ({ instruction, output: 'theirs' })),
  );
  write('ours.json', [
    ...instructions.slice(0, 3).map((instruction) => ({ instruction, output: 'our own' })),
    { instruction: 'prompt 7', output: 'theirs' },
    { instruction: 'of another set', output: 'x' },
  ]);
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Not spawnSync: the judge's server lives in this process. */
function selm(...args: string[]): Promise<Ended> {
  return selmIn({ HF_HUB_OFFLINE: '1' }, ...args);
}

interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

function selmIn(environment: NodeJS.ProcessEnv, ...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(packageRoot, 'bin', 'selm'), 'eval', ...args], {
      cwd: folder,
      env: { ...process.env, HF_HUB_CACHE: join(folder, 'hub'), SELM_THREADS: '1', ...environment },
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data: Buffer) => {
      stdout += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
    });
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}

it('prints the leaderboard’s numbers of annotations under its own names', async () => {
  const file = join(fixtures, 'alpaca', 'strong.csv');
  const { status, stdout } = await selm('alpaca', '--annotations', file, '--json');
  const expected = JSON.parse(readFileSync(join(fixtures, 'alpaca', 'expected.json'), 'utf8')).models.strong;
  const printed = JSON.parse(stdout);
  expect(status).toBe(0);
  expect(printed.length_controlled_winrate).toBeCloseTo(expected.length_controlled_winrate, 5);
  expect(printed).toMatchObject({ model: 'strong', n_total: 120, n_missing: 685 });
  // With another C as given, another rate.
  const given = JSON.parse((await selm('alpaca', '--annotations', file, '--c', '0.01', '--json')).stdout);
  expect(given.c).toBe(0.01);
  expect(given.length_controlled_winrate).not.toBeCloseTo(expected.length_controlled_winrate, 1);
});

it('gives the win rate, and says what is missing, where the shared file cannot be had', async () => {
  writeFileSync(join(folder, 'own.csv'), 'preference,len_1,len_2\n2,5,6\n1,5,9\n');
  const { status, stdout } = await selm('alpaca', '--annotations', 'own.csv', '--json');
  const printed = JSON.parse(stdout);
  expect(status).toBe(0);
  expect(printed).toMatchObject({ win_rate: 50, length_controlled_winrate: null, avg_length: 7 });
  expect(printed.warnings.join()).toContain('HF_HUB_OFFLINE');
});

it('asks a judge in alpaca_eval’s order, names what it refuses and what has no output, and asks nothing twice', async () => {
  const args = ['alpaca', '--outputs', 'ours.json', '--reference', 'baseline.json', '--judge', 'oracle'];
  const judged = [...args, '--set', `ranker.baseUrl=${server.url}`, '--answers', 'answers.jsonl', '--json'];
  const { status, stdout, stderr } = await selm(...judged, '--write-annotations', 'annotations.json');
  expect(status, stderr).toBe(0);
  const printed = JSON.parse(stdout);
  // Ours is shown first in "What are the names?" (0.9), theirs in "prompt 4" (0.1); equal outputs are a draw, unasked.
  expect(printed).toMatchObject({ n_total: 3, n_draws: 1, n_unusable: 2 });
  expect(printed.win_rate).toBeCloseTo((100 * (0.9 + 0.1 + 0.5)) / 3, 6);
  expect(printed.unusable).toEqual([
    { line: 5, problem: 'the model gave no output' },
    { line: 3, problem: expect.stringContaining('no label is among the likeliest first tokens') },
  ]);
  expect(stderr).toContain('1 outputs are to no instruction');
  const body = server.requests[0]?.body;
  expect(body).toMatchObject({ temperature: 1, max_tokens: 1, logprobs: true, top_logprobs: 5 });
  const before = server.requests.length;
  // The refusal is an answer too.
  expect(JSON.parse((await selm(...judged)).stdout)).toEqual(printed);
  expect(server.requests).toHaveLength(before);
  const annotations = JSON.parse(readFileSync(join(folder, 'annotations.json'), 'utf8')) as { preference: number }[];
  expect(annotations.map(({ preference }) => preference)).toEqual([
    expect.closeTo(1.9, 9),
    expect.closeTo(1.1, 9),
    null,
    1.5,
  ]);
});

it('samples the outputs of a model once', async () => {
  const judged = [
    'alpaca',
    join(packageRoot, 'assets/stories260K'),
    '--reference',
    'baseline.json',
    '--judge',
    'oracle',
  ];
  const args = [
    ...judged,
    '--set',
    `ranker.baseUrl=${server.url}`,
    '--max-new-tokens',
    '8',
    '--store',
    'store.db',
    '--json',
  ];
  const first = await selm(...args);
  expect(JSON.parse(first.stdout), first.stderr).toMatchObject({ model: 'stories260K', n_total: 4 });
  expect(first.stderr).toContain('0 of 5 outputs were kept');
  expect((await selm(...args)).stderr).toContain('5 of 5 outputs were kept');
});

it('answers MT-Bench in two turns and has each turn rated, naming what did not fit and what was not rated', async () => {
  const model = join(packageRoot, 'assets/stories260K');
  const args = [
    'mt-bench',
    model,
    '--judge',
    'oracle',
    '--set',
    `ranker.baseUrl=${server.url}`,
    '--max-new-tokens',
    '4',
  ];
  const { stdout, stderr } = await selm(...args, '--store', 'mt.db', '--write-judgments', 'judgments.jsonl', '--json');
  const printed = JSON.parse(stdout);
  // The story model reads 512 tokens: the longest questions leave no room.
  const unanswered = printed.problems.filter(({ problem }: { problem: string }) => problem.includes('does not fit'));
  expect(unanswered.length, stderr).toBeGreaterThan(0);
  const rows = readFileSync(join(folder, 'judgments.jsonl'), 'utf8').trim().split('\n');
  expect(printed.rows).toBe(rows.length);
  expect(printed.categories.math).toMatchObject({ turn1: 6 });
  expect(printed.categories.writing).toMatchObject({ turn1: 8 });
  const again = JSON.parse((await selm('mt-bench', '--judgments', 'judgments.jsonl', '--json')).stdout);
  expect(again).toMatchObject({ average: printed.average, unparsed: printed.unparsed });
});

it('averages judgments of MT-Bench and scores results of EQ-Bench', async () => {
  writeFileSync(
    join(folder, 'made.jsonl'),
    '{"question_id":81,"turn":1,"judgment":"[[7]]"}\n{"question_id":81,"turn":2,"judgment":"?"}\n',
  );
  const judgments = JSON.parse((await selm('mt-bench', '--judgments', 'made.jsonl', '--json')).stdout);
  expect(judgments).toMatchObject({ turn1: 7, turn2: null, average: 7, rows: 2, unparsed: 1 });
  const raw_inference = { '1': 'Remorseful: 0\nIndifferent: 6\nAffectionate: 0\nAnnoyed: 7' };
  writeFileSync(
    join(folder, 'eq.json'),
    JSON.stringify({ eqbench_version: 'v2', iterations: { '1': { raw_inference } } }),
  );
  const results = JSON.parse((await selm('eq-bench', '--results', 'eq.json', '--json')).stdout);
  expect(results).toMatchObject({ score: 100, parsed: 1, questions: 171 });
});

it('measures a model by benchmarks, keeps its answers, and writes them item by item', async () => {
  const data = ['--data', join(fixtures, 'benchmarks', 'data'), '--store', 'benchmarks.db', '--limit', '3', '--json'];
  const args = [
    join(packageRoot, 'assets/stories260K'),
    '--on',
    'arc_challenge,truthfulqa-mc1',
    '--shots',
    '0',
    ...data,
  ];
  const { stdout, stderr } = await selm(...args, '--items', 'items.jsonl');
  const printed = JSON.parse(stdout);
  expect(printed.benchmarks.arc_challenge, stderr).toMatchObject({ shots: 0, n: 3, n_from_store: 0, unusable: [] });
  expect(printed.benchmarks.truthfulqa_mc1.metrics.acc).toMatchObject({ n: 3 });
  expect(readFileSync(join(folder, 'items.jsonl'), 'utf8').trim().split('\n')).toHaveLength(6);
  const again = JSON.parse((await selm(...args)).stdout);
  expect(again.benchmarks.arc_challenge).toMatchObject({
    n_from_store: 3,
    metrics: printed.benchmarks.arc_challenge.metrics,
  });
});

it('names rows without gold and choices that do not fit, counts cut prompts, and scores none of the first two', async () => {
  const row = (question: string, choices: string[], gold?: number) => ({ question, choices, gold });
  const rows = [
    row('Which is wet?', ['water', 'stone'], 0),
    row('Which is right?', ['this', 'that']),
    row('Which is long?', ['word '.repeat(600), 'short'], 1),
    row('word '.repeat(600), ['yes', 'no'], 1),
  ];
  writeFileSync(join(folder, 'test.jsonl'), rows.map((each) => `${JSON.stringify(each)}\n`).join(''));
  const { stdout, stderr } = await selm(
    ...[stories, '--on', 'arc_challenge', '--shots', '0', '--data', '.', '--store', 'bad.db', '--json'],
  );
  expect(JSON.parse(stdout || '{}').benchmarks?.arc_challenge, stderr).toMatchObject({
    ...{ n: 2, n_cut: 1, metrics: { acc: { n: 2 } } },
    unusable: [
      { line: 2, problem: 'it does not say which choice is right' },
      { line: 3, problem: expect.stringContaining('the model has 512 positions') },
    ],
  });
});

it('refuses a benchmark whose answers the model has no room for', async () => {
  const data = join(fixtures, 'benchmarks', 'data');
  const { status, stdout, stderr } = await selm(stories, '--on', 'ifeval', '--data', data, '--store', 'room.db');
  expect([status === 0, stdout]).toEqual([false, '']);
  expect(stderr).toContain('1280');
  expect(stderr).toContain('512 positions');
});

it('takes rows of a benchmark from the Hub, and has them afterwards without it', async () => {
  const packed = readFileSync(join(fixtures, 'benchmarks/data/hellaswag/val.jsonl.gz'));
  const lines = gunzipSync(packed).toString('utf8').split('\n');
  const file = (from: number): Buffer => Buffer.from(`${lines.slice(from, from + 4).join('\n')}\n`);
  const files = new Map([
    ['README.md', Buffer.from('---\nlicense: mit\n---\n')],
    ['data/train-00000-of-00001.jsonl', file(0)],
    ['data/validation-00000-of-00001.jsonl', file(4)],
  ]);
  const commits = new Map([['a'.repeat(40), files]]);
  const hub = await startFakeHub([{ type: 'dataset', name: 'Rowan/hellaswag', commits }]);
  const args = [stories, '--on', 'hellaswag', '--shots', '2', '--store', 'hub.db', '--json'];
  const { stdout, stderr } = await selmIn({ HF_ENDPOINT: hub.url, HF_HUB_OFFLINE: '' }, ...args).finally(hub.close);
  expect(JSON.parse(stdout || '{}').benchmarks?.hellaswag, stderr).toMatchObject({
    n: 4,
    n_from_store: 0,
    unusable: [],
  });
  const offline = await selm(...args);
  expect(JSON.parse(offline.stdout || '{}').benchmarks?.hellaswag, offline.stderr).toMatchObject({
    n: 4,
    n_from_store: 4,
  });
});

it.each([
  ['no benchmark', ['model'], '--on'],
  ['an unknown one', ['model', '--on', 'helaswag'], 'Cannot evaluate on "helaswag": there is no such benchmark'],
  ['nothing to judge', ['alpaca'], 'Nothing to evaluate'],
])('refuses %s', async (_, args, text) => {
  const { status, stderr } = await selm(...args);
  expect(status).toBe(2);
  expect(stderr).toContain(text);
});
