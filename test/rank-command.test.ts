/** @file `selm rank` as a user runs it: bin/selm in a process of its own, without a run. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rankFile } from '../src/cli/rank-file.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { completion, type JudgeServer, startServer } from '../src/rank/judge/server.testing.ts';

let folder = '';
let delayMs = 0;
let server: JudgeServer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'selm-rank-'));
  // The longer response is better; "odd" gets an answer that is none.
  server = await startServer(({ body }) => {
    const [prompt = '', first = '', second = ''] = (body.messages[0]?.content ?? '').split('|');
    const verdict = first.length === second.length ? 'tie' : first.length > second.length ? 'A' : 'B';
    return { kind: 'reply', body: completion(prompt === 'odd' ? 'hm' : verdict), delayMs };
  });
  writeFileSync(
    join(folder, 'rows.jsonl'),
    [
      { prompt: 'one', prompt_id: 'one', responses: ['x', 'yyy', 'zz'] },
      { prompt: 'two', prompt_id: 'two', chosen: 'c', rejected: 'longer' },
    ]
      .map((row) => `${JSON.stringify(row)}\n`)
      .join(''),
  );
  writeFileSync(
    join(folder, 'reward.ts'),
    'export const reward = (_: string, responses: string[]): number[] => responses.map((text) => text.length);\n',
  );
  writeFileSync(
    join(folder, 'judge.yaml'),
    "user: '{prompt}|{first}|{second}'\nanswers: { first: A, second: B, tie: tie }\n",
  );
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Command {
  args: string[];
  /** Asked every few milliseconds; true sends a SIGINT, once. */
  interruptWhen?: () => boolean;
}

/** Not spawnSync: the judge's server lives in this process. */
function selm({
  args,
  interruptWhen = () => false,
}: Command): Promise<{ status: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(packageRoot, 'bin', 'selm'), ...args], { cwd: folder });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data: Buffer) => {
      stdout += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
    });
    const timer = setInterval(() => {
      if (!interruptWhen()) return;
      clearInterval(timer);
      child.kill('SIGINT');
    }, 5);
    child.on('close', (status) => {
      clearInterval(timer);
      resolve({ status, stdout, stderr });
    });
  });
}

function lines(text: string): unknown[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

const judge = (...more: string[]): string[] => [
  ...['--ranker', 'judge:test-judge', '--set', `ranker.baseUrl=${server.url}`],
  ...['--set', 'ranker.ask={kind: pairwise, read: text, prompt: judge.yaml}', ...more],
];

it('ranks by a function: a line a row on stdout, in order, and exit code 0', async () => {
  const { status, stdout, stderr } = await selm({ args: ['rank', 'rows.jsonl', '--ranker', 'function:reward.ts'] });
  expect(status).toBe(0);
  expect(lines(stdout)).toEqual([
    { promptId: 'one', line: 1, scores: [1, 3, 2], order: [1, 2, 0], ties: [] },
    { promptId: 'two', line: 2, scores: [1, 6], order: [1, 0], ties: [] },
  ]);
  expect(stderr).toContain('2 rows ranked by function:reward.ts');
});

it('ranks by a program in another language, and leaves out rows with nothing to rank where it is told to', async () => {
  writeFileSync(
    join(folder, 'length.py'),
    'import json, sys\nfor line in sys.stdin:\n    q = json.loads(line)\n    print(json.dumps({"id": q["id"], "scores": [len(r) for r in q["responses"]]}), flush=True)\n',
  );
  writeFileSync(join(folder, 'bad.jsonl'), '{"prompt": "p"}\n{"prompt": "q", "responses": ["x", "yy"]}\n{"prompt"\n');
  const args = ['rank', 'bad.jsonl', '--ranker', 'command:python3 length.py'];
  const stopped = await selm({ args });
  expect(stopped.status).toBe(2);
  expect(stopped.stderr).toContain('leave such rows out with --on-bad-row drop');
  const { status, stdout, stderr } = await selm({ args: [...args, '--on-bad-row', 'drop'] });
  expect(status).toBe(0);
  expect(lines(stdout)).toMatchObject([{ line: 2, scores: [1, 2], order: [1, 0] }]);
  expect(stderr).toContain('left out bad.jsonl:1: field "responses": nothing to rank');
  expect(stderr).toContain('1 rows ranked by command:python3 length.py');
  expect(stderr).toContain('0 without a verdict, 2 left out');
});

it('ranks by a judge into a file, keeps the answers, and asks nothing twice', async () => {
  const args = ['rank', 'rows.jsonl', ...judge('--output', 'out.jsonl', '--answers', 'answers.jsonl', '--json')];
  const first = await selm({ args });
  expect(first).toMatchObject({ status: 0, stdout: '' });
  const ranked = readFileSync(join(folder, 'out.jsonl'), 'utf8');
  expect(lines(ranked)).toMatchObject([
    { promptId: 'one', scores: [0, 1, 0.5], order: [1, 2, 0] },
    { promptId: 'two', scores: [0, 1], order: [1, 0] },
  ]);
  expect(JSON.parse(first.stderr)).toMatchObject({ rows: 2, calls: 8, bothOrders: 4, consistent: 4 });
  const asked = server.requests.length;
  await selm({ args });
  expect(server.requests.length).toBe(asked);
  expect(readFileSync(join(folder, 'out.jsonl'), 'utf8')).toBe(ranked);
});

it('takes the ranker of a recipe, and writes no file when it stops on the way, with exit code 1', async () => {
  const recipe = {
    name: 'r',
    seed: 1,
    model: 'nowhere',
    data: { train: 'rows.jsonl' },
    ranker: {
      kind: 'judge',
      model: 'm',
      baseUrl: server.url,
      ask: { kind: 'pairwise', read: 'text', prompt: 'judge.yaml' },
    },
    objective: { preference: { kind: 'dpo' }, exploration: { kind: 'none' } },
    training: { learningRate: 0.1 },
  };
  writeFileSync(join(folder, 'recipe.yaml'), JSON.stringify(recipe)); // JSON is YAML
  const good = await selm({ args: ['rank', 'rows.jsonl', '--recipe', 'recipe.yaml'] });
  expect(good.status).toBe(0);
  expect(good.stderr).toContain('--answers FILE keeps them');
  const poor = await selm({
    args: ['rank', 'rows.jsonl', '--recipe', 'recipe.yaml', '--set', 'ranker.budget.calls=2', '--output', 'poor.jsonl'],
  });
  expect(poor.status).toBe(1);
  expect(poor.stderr).toContain('JUDGE_BUDGET');
  expect(existsSync(join(folder, 'poor.jsonl'))).toBe(false);
});

it('stopped by Ctrl-C hears out what is under way, keeps it, and says how to go on; exit code 130', async () => {
  delayMs = 300;
  const rows = Array.from({ length: 20 }, (_, i) => JSON.stringify({ prompt: `slow ${i}`, responses: ['x', 'yy'] }));
  writeFileSync(join(folder, 'slow.jsonl'), `${rows.join('\n')}\n`);
  const before = server.requests.length;
  const args = ['rank', 'slow.jsonl', ...judge('--set', 'ranker.concurrency=2', '--answers', 'slow-answers.jsonl')];
  const { status, stderr } = await selm({ args, interruptWhen: () => server.requests.length >= before + 4 });
  delayMs = 0;
  expect(status).toBe(130);
  expect(stderr).toContain('the answers are in slow-answers.jsonl; go on with:');
  // Every request that was sent is in the file.
  const kept = readFileSync(join(folder, 'slow-answers.jsonl'), 'utf8').trimEnd().split('\n');
  expect(kept).toHaveLength(server.requests.length - before);
});

it('writes why a row has no verdict', async () => {
  writeFileSync(
    join(folder, 'odd.jsonl'),
    `${JSON.stringify({ prompt: 'odd', prompt_id: 'o', responses: ['x', 'yy'] })}\n`,
  );
  const { status, stdout, stderr } = await selm({
    args: ['rank', 'odd.jsonl', ...judge('--set', 'ranker.onError=drop')],
  });
  expect(status).toBe(0);
  expect(lines(stdout)).toEqual([
    { promptId: 'o', line: 1, scores: null, order: [], ties: [], problem: 'no verdict in the answer "hm"' },
  ]);
  expect(stderr).toContain('1 without a verdict');
});

// Small random checkpoints: what they say is held against transformers elsewhere, here that the command gets it.
it.each(['pairrm:pairrm', 'reward-model:deberta-reward'])('ranks by %s', async (ranker) => {
  const [kind, name = ''] = ranker.split(':');
  const output = join(folder, `${kind}.jsonl`);
  const options = { ranker: `${kind}:${join(packageRoot, 'test', 'fixtures', 'rankers', name)}`, set: [], output };
  const { summary } = await rankFile(join(folder, 'rows.jsonl'), options, {
    signal: new AbortController().signal,
    say: () => {},
  });
  expect(summary).toMatchObject({ rows: 2, problems: 0, calls: 0 });
  const finite = expect.any(Number);
  expect(lines(readFileSync(output, 'utf8'))).toMatchObject([
    { promptId: 'one', scores: [finite, finite, finite] },
    { promptId: 'two', scores: [finite, finite] },
  ]);
});

it('refuses wrong use with exit code 2, one error and no stack', async () => {
  const { status, stderr } = await selm({ args: ['rank', 'rows.jsonl'] });
  expect(status).toBe(2);
  expect(stderr).toContain('--ranker KIND:WHAT or by --recipe');
  expect(stderr).not.toMatch(/^\s+at /m);
});

// The work of the command in this process: each start of the program takes a second.
it.each([
  ['an unknown kind', 'rows.jsonl', { ranker: 'oracle:x' }, 'allowed are function:reward.ts'],
  ['a kind alone', 'rows.jsonl', { ranker: 'judge:' }, 'allowed are function:reward.ts'],
  ['a ranker and a recipe', 'rows.jsonl', { ranker: 'judge:m', recipe: 'recipe.yaml' }, 'either by --ranker'],
  ['a file that is not there', 'none.jsonl', { ranker: 'function:reward.ts' }, 'none.jsonl'],
  ['a module that is not there', 'rows.jsonl', { ranker: 'function:none.ts' }, 'none.ts'],
  ['a judge without address', 'rows.jsonl', { ranker: 'judge:m' }, 'ranker.baseUrl is missing'],
  [
    'a misspelt setting',
    'rows.jsonl',
    { ranker: 'function:reward.ts', set: ['ranker.timeoutMS=1'] },
    'did you mean "timeoutMs"',
  ],
])('refuses %s', async (_, file, options, says) => {
  const ranking = rankFile(
    join(folder, file),
    { set: [], ...options },
    { signal: new AbortController().signal, say: () => {} },
  );
  await expect(ranking).rejects.toMatchObject({ exitCode: 2, message: expect.stringContaining(says) });
});
