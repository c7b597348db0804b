/** @file Benchmarks inside a run: asked after each iteration and of the base, kept item by item, and never asked twice. */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { packageRoot } from '../src/files/package-root.ts';
import { runRecipe } from '../src/loop/run.ts';
import { completion, startServer } from '../src/rank/judge/server.testing.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import type { LoopEvent } from '../src/store/events.ts';
import { openLedger } from '../src/store/ledger.ts';
import { lengthControlledRates } from '../src/store/length-control.ts';
import { fitsOf } from '../src/store/measured.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-loop-benchmarks-'));
const rows = join(packageRoot, 'test/fixtures/evaluate/benchmarks/data');
const own = process.env.XDG_CACHE_HOME;
afterAll(() => {
  if (own === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = own;
  rmSync(root, { recursive: true, force: true });
});
/** Where answers are shared between runs: another place for each test, so that none finds those of another. */
beforeEach(({ task }) => {
  process.env.XDG_CACHE_HOME = join(root, `cache-${task.id}`);
});

const path = writeSmallRecipe(root, {
  iterations: 1,
  sampling: { samples: 2, temperature: 1, maxNewTokens: 4, batchSize: 8 },
  evaluate: {
    explorationPrompts: 0,
    benchmarks: { on: [{ name: 'arc_challenge', shots: 0 }], data: rows, limit: 48 },
  },
});

async function train(name: string, overrides: string[] = []): Promise<LoopEvent[]> {
  const events: LoopEvent[] = [];
  const recipe = loadRecipe(path, { overrides: [`output=${join(root, name)}`, ...overrides] });
  await runRecipe(recipe, { watch: (event) => void events.push(event) });
  return events;
}

/** Where each measurement of a model on a benchmark began, by what was there already. */
function beginnings(events: readonly LoopEvent[]): { iteration: number; total: number; done: number }[] {
  return events.flatMap((event) =>
    event.kind === 'stage-started' && event.stage === 'benchmark'
      ? [{ iteration: event.iteration, total: event.total, done: event.done }]
      : [],
  );
}

function scoresOf(name: string) {
  using ledger = openLedger(join(root, name, 'run.db'), { access: 'read' });
  return ledger.records('benchmarks').map(({ iteration, record }) => ({ iteration, results: record.results }));
}

/** The story model with fewer positions than an answer to GSM8K may have. */
function shortModel(): string {
  const folder = join(root, 'short');
  cpSync(join(packageRoot, 'assets/stories260K'), folder, { recursive: true });
  const file = join(folder, 'config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  writeFileSync(file, JSON.stringify({ ...config, max_position_embeddings: 128 }));
  return folder;
}

/** Runs the recipe in a process of its own that is killed after an event, or to its end. */
function trainKilled(name: string, after: (event: LoopEvent) => boolean): Promise<number | null> {
  return new Promise((resolve) => {
    const script = join(packageRoot, 'test', 'support', 'run-recipe.ts');
    const child = spawn(process.execPath, ['--import', 'tsx', script, path, join(root, name)], { cwd: packageRoot });
    let rest = '';
    child.stdout.on('data', (data: Buffer) => {
      const lines = (rest + data.toString()).split('\n');
      rest = lines.pop() ?? '';
      const events = lines.flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as LoopEvent] : []));
      if (events.some(after)) child.kill('SIGKILL');
    });
    child.on('close', (code) => resolve(code));
  });
}

it('measures the base and each iteration, and keeps scores item by item with their numbers', async () => {
  const events = await train('whole');
  expect(beginnings(events)).toEqual([
    { iteration: 0, total: 48, done: 0 },
    { iteration: 1, total: 48, done: 0 },
  ]);
  const found = scoresOf('whole');
  expect(found.map(({ iteration }) => iteration)).toEqual([0, 1]);
  for (const { results } of found) {
    const [arc] = results;
    expect(arc).toMatchObject({ benchmark: 'arc_challenge', shots: 0, mainMetric: 'acc_norm', unusable: [] });
    expect(arc?.metrics.acc_norm?.count).toBe(48);
    const scores = arc?.scores.acc_norm ?? [];
    expect(scores.reduce((sum, score) => sum + score, 0) / 48).toBeCloseTo(arc?.metrics.acc_norm?.value ?? -1, 12);
  }
});

it('asks nothing again: not on the same command, not for another limit, and not what another run asked of the same model', async () => {
  await train('asked', ['evaluate.benchmarks.limit=32']);
  expect(beginnings(await train('asked', ['evaluate.benchmarks.limit=32']))).toEqual([]);
  expect(beginnings(await train('asked'))).toEqual([
    { iteration: 0, total: 48, done: 32 },
    { iteration: 1, total: 48, done: 32 },
  ]);
  // The base of another run is the same model; another seed trains another one.
  expect(beginnings(await train('other-seed', ['seed=4']))).toEqual([
    { iteration: 0, total: 48, done: 48 },
    { iteration: 1, total: 48, done: 0 },
  ]);
  expect(scoresOf('other-seed')[0]).toEqual(scoresOf('asked')[0]);
});

it('goes on item by item after a kill, from the ledger alone, to the same scores', async () => {
  const isHalfway = (event: LoopEvent): boolean =>
    event.kind === 'stage-progress' && event.stage === 'benchmark' && event.iteration === 1 && event.done >= 16;
  expect(await trainKilled('killed', isHalfway)).toBeNull();
  process.env.XDG_CACHE_HOME = join(root, 'empty-cache');
  const [again] = beginnings(await train('killed'));
  expect(again).toMatchObject({ iteration: 1, total: 48 });
  expect(again?.done).toBeGreaterThanOrEqual(16);
  await train('unbroken');
  expect(scoresOf('killed')).toEqual(scoresOf('unbroken'));
});

it('names rows without a right answer and prompts that do not fit, in terminal, ledger and report, and scores neither as wrong', async () => {
  const folder = join(root, 'flawed', 'arc_challenge');
  mkdirSync(folder, { recursive: true });
  const question = (text: string) => ({ question: text, choices: ['a dog', 'a cat'], gold: 0 });
  const flawed = [
    ...['Who barks?', 'Who runs?'].map(question),
    { question: 'Who knows?', choices: ['a dog', 'a cat'] },
    { ...question('Too long a choice'), choices: ['a dog', 'cat '.repeat(600)] },
    question(`${'Once upon a time. '.repeat(200)}Who barks?`),
  ];
  writeFileSync(join(folder, 'test.jsonl'), flawed.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const events = await train('flawed-run', [`evaluate.benchmarks.data=${join(root, 'flawed')}`]);
  for (const { results } of scoresOf('flawed-run')) {
    expect(results[0]).toMatchObject({
      lines: [1, 2, 5],
      metrics: { acc_norm: { count: 3 } },
      unusable: [
        { line: 3, problem: 'it does not say which choice is right' },
        { line: 4, problem: expect.stringContaining('positions') },
      ],
      cutItems: 1,
    });
  }
  const told = events.flatMap((event) => (event.kind === 'warning' ? [event.text] : []));
  expect(told).toContain('ARC-Challenge: 2 rows could not be used and are in no number');
  expect(told.find((text) => text.includes('do not fit'))).toMatch(/^ARC-Challenge: 1 of 3 prompts/);
  const page = readFileSync(join(root, 'flawed-run', 'report.html'), 'utf8');
  expect(page).toContain('ARC-Challenge: 2 rows could not be used and are in no number (the first, row 3');
  expect(page).toContain('1 of 3 prompts do not fit the model&#39;s context');
});

it.each([
  ['a benchmark that does not exist', ['evaluate.benchmarks.on=[helaswag]'], 'BENCHMARK_UNKNOWN'],
  ['one that is named twice', ['evaluate.benchmarks.on=[hellaswag, hellaswag]'], 'BENCHMARK_TWICE'],
  ['rows that are not there', [`evaluate.benchmarks.data=${root}`], 'BENCHMARK_ROWS_MISSING'],
  [
    'a model whose context has no room for an answer',
    ['evaluate.benchmarks.on=[gsm8k_cot]', `model=${shortModel()}`],
    'CONTEXT_TOO_SHORT',
  ],
])('refuses %s before anything is sampled', async (_, overrides, code) => {
  const events: LoopEvent[] = [];
  const recipe = loadRecipe(path, { overrides: [`output=${join(root, 'refused')}`, ...overrides] });
  await expect(runRecipe(recipe, { watch: (event) => void events.push(event) })).rejects.toMatchObject({ code });
  expect(events.filter(({ kind }) => kind === 'stage-started')).toEqual([]);
});

it('has a judge compare every model with a baseline, asks it once, and names what it refuses', async () => {
  const server = await startServer(({ body }) => {
    const text = body.messages.map(({ content }) => content).join('\n');
    if (text.includes('forbidden')) return { kind: 'reply', body: completion('I cannot', { I: -0.1, no: -2 }) };
    return { kind: 'reply', body: completion('m', { m: Math.log(0.9), M: Math.log(0.1) }) };
  });
  try {
    const instructions = ['What are the names?', 'prompt 4', 'a forbidden thing'];
    writeFileSync(
      join(root, 'baseline.json'),
      JSON.stringify(instructions.map((instruction) => ({ instruction, output: 'theirs' }))),
    );
    const facts = join(packageRoot, 'test/fixtures/evaluate/alpaca');
    const alpaca = `evaluate.alpaca={reference: ${join(root, 'baseline.json')}, data: ${facts}, maxNewTokens: 8}`;
    const judge = `evaluate.judge={model: oracle, baseUrl: "${server.url}"}`;
    const overrides = ['evaluate.benchmarks=null', judge, alpaca, 'evaluate.keepBest=alpaca_eval'];
    const events = await train('judged', overrides);
    using ledger = openLedger(join(root, 'judged', 'run.db'), { access: 'read' });
    for (const { record } of ledger.records('alpaca')) {
      const [scores] = record.results;
      expect(scores).toMatchObject({ benchmark: 'alpaca_eval', lines: [1, 2], unusable: [{ line: 3 }] });
      // The judge prefers what is shown first: ours in the first instruction, theirs in the second.
      expect(scores?.scores.win_rate?.map((share) => Number(share.toFixed(6)))).toEqual([0.9, 0.1]);
    }
    expect(ledger.records('alpaca').map(({ iteration }) => iteration)).toEqual([0, 1]);
    // At equal lengths: over the baseline, and over the base, which got the same verdicts.
    const rates = lengthControlledRates(fitsOf(ledger), 1);
    expect(rates).toMatchObject({ baseline: { count: 2 }, base: { value: expect.closeTo(0.5, 1), count: 2 } });
    const ended = events.flatMap((event) =>
      event.kind === 'stage-finished' && event.stage === 'alpaca' ? [event.summary] : [],
    );
    expect(ended.at(-1)).toMatch(/; at equal lengths 0\.\d+ \[.*\], 0\.\d+ \[.*\] over the base$/);
    expect(ledger.record(1, 'best')).toMatchObject({ measure: 'alpaca_eval', iteration: 1 });
    const told = events.flatMap((event) => (event.kind === 'warning' ? [event.text] : []));
    expect(told.filter((text) => text.startsWith('AlpacaEval: 1 of 3 instructions have no verdict'))).toHaveLength(2);
    const asked = server.requests.length;
    await train('judged', overrides);
    expect(server.requests.length).toBe(asked);
    const page = readFileSync(join(root, 'judged', 'report.html'), 'utf8');
    expect(page).toContain('AlpacaEval: win_rate');
    expect(page).toContain('AlpacaEval at equal lengths');
  } finally {
    await server.close();
  }
});

it('has a judge rate both turns of MT-Bench, by question, and names turns without a rating', async () => {
  const server = await startServer(({ body }) => {
    const text = body.messages.map(({ content }) => content).join('\n');
    // The second turn of the first question asks for sentences that begin with A.
    const isSecond = text.includes('Start every sentence with the letter A');
    return { kind: 'reply', body: completion(isSecond ? 'I would rather not.' : 'Rating: [[7]]') };
  });
  try {
    const judge = `evaluate.judge={model: oracle, baseUrl: "${server.url}"}`;
    const overrides = ['evaluate.benchmarks=null', judge, 'evaluate.mtBench={limit: 2, maxNewTokens: 4}'];
    const events = await train('rated', overrides);
    using ledger = openLedger(join(root, 'rated', 'run.db'), { access: 'read' });
    const found = ledger.records('mt-bench');
    expect(found.map(({ iteration }) => iteration)).toEqual([0, 1]);
    for (const { record } of found) {
      expect(record.results[0]).toMatchObject({
        benchmark: 'mt_bench',
        lines: [81, 82],
        metrics: { average: { value: 7, count: 2 }, turn1: { count: 2 }, turn2: { count: 1 } },
        unusable: [{ line: 81, problem: 'turn 2 got no rating' }],
      });
    }
    const told = events.flatMap((event) => (event.kind === 'warning' ? [event.text] : []));
    expect(told.filter((text) => text.startsWith('MT-Bench: 1 turns have no rating'))).toHaveLength(2);
    const asked = server.requests.length;
    await train('rated', overrides);
    expect(server.requests.length).toBe(asked);
  } finally {
    await server.close();
  }
});
