/**
 * @file What watching costs: how long the pages of a large run take (10,000 pairs, a million numbers) and the list of 200 runs, what a
 * run pays for an event, and what a studio with 50 open pages takes of the processor while a run tells something.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Database } from '../src/files/sqlite.ts';
import { type Studio, serveStudio } from '../src/server/listen.ts';
import { writeStudioRun } from '../src/server/studio-run.testing.ts';
import { openEventLog } from '../src/store/event-log.ts';
import { openLedger } from '../src/store/ledger.ts';
import { processorSeconds } from './process-tree.ts';
import { benchStudioCost } from './studio-cost.ts';
import { ended, portOf, startPages, startStudio } from './studio-processes.ts';

const PAIRS = 10_000;
const STEPS = 20_000; // of each of two iterations, with 25 numbers a step
const NUMBERS = 25;
const PAGES = 50;
const RUNS = 200;
const BETWEEN_LOOKS_MS = 500; // a look at all runs is good for 400 ms
const SECONDS = 60; // processor time is counted in hundredths of a second
const TOKEN = 'token-of-the-benchmark';

/** Prints the measurements; with `--cost PAIRS` what a run loses to its pages instead. */
export async function benchStudio(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { cost: { type: 'string' }, threads: { type: 'string', default: '2' } },
  });
  if (values.cost !== undefined) {
    await benchStudioCost({ pairs: Number(values.cost), threads: Number(values.threads) });
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'selm-bench-studio-'));
  try {
    const run = join(folder, 'large');
    writeLargeRun(run);
    measureEvents(folder);
    const studio = await serveStudio({ folders: [folder], port: 0, token: TOKEN, assets: new Map() });
    await measurePages(studio);
    await studio.close();
    await measureList(join(folder, 'many'));
    await measureStreams(folder, run);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function say(what: string, value: string): void {
  process.stdout.write(`${what.padEnd(64)} ${value}\n`);
}

/** A run with many rows, put in as they lie in its tables: a ledger's own puts would take an hour. */
function writeLargeRun(path: string): void {
  writeStudioRun(path, { pairs: 1, steps: 1, iterations: 2 });
  const database = new Database(join(path, 'run.db'));
  const text = 'A sentence of a story about a dog and a cat. '.repeat(30);
  const metric = database.prepare("INSERT OR IGNORE INTO metrics VALUES (?, 'train', ?, 1, ?, ?)");
  const row = database.prepare('INSERT INTO prompts VALUES (?, ?)');
  const [first, second] = [0, 1].map((sampleIndex) => JSON.stringify({ kind: 'response', sampleIndex }));
  const pair = database.prepare(
    `INSERT INTO pairs (pairId, iteration, promptId, chosen, rejected, chosenFrom, rejectedFrom, rankerId, scoreChosen, scoreRejected)
     VALUES (?, ?, ?, ?, ?, '${first}', '${second}', 'function:reward.ts', ?, 0)`,
  );
  const response = database.prepare("INSERT INTO responses VALUES (?, ?, ?, ?, x'01000000', 'stop', -1, 'sha', 1)");
  database.transaction(() => {
    for (const iteration of [1, 2])
      for (let step = 1; step < STEPS; step++)
        for (let n = 0; n < NUMBERS; n++) metric.run(iteration, step, n === 0 ? 'loss' : `metric-${n}`, Math.random());
    for (let n = 0; n < PAIRS; n++) {
      const [id, iteration] = [`large-${n}`, (n % 2) + 1];
      const prompt = { kind: 'text', text: `Prompt ${n}. ${text}` };
      row.run(
        id,
        JSON.stringify({ promptId: id, prompt, chosen: null, rejected: null, source: { file: 'a', line: 1 } }),
      );
      pair.run(`pair-${n}`, iteration, id, `chosen ${n} ${text}`, `rejected ${n} ${text}`, Math.random());
      for (let sample = 0; sample < 4; sample++) response.run(iteration, id, sample, `${sample} ${text}`);
    }
  })();
  database.close();
}

function measureEvents(folder: string): void {
  using log = openEventLog(folder);
  const announce = log.through(() => {}, { iteration: 1 });
  const values = Object.fromEntries(Array.from({ length: NUMBERS }, (_, n) => [`metric-${n}`, Math.random()]));
  const times = Array.from({ length: 20_000 }, (_, step) => {
    const startMs = performance.now();
    announce({ kind: 'metrics', step, values });
    return performance.now() - startMs;
  }).sort((a, b) => a - b);
  const at = (share: number): string => `${(1000 * (times[Math.floor(share * times.length)] ?? 0)).toFixed(1)} us`;
  say(`an event of ${NUMBERS} numbers, to the run: median, 99th percentile`, `${at(0.5)}, ${at(0.99)}`);
}

async function ask(studio: Studio, path: string): Promise<{ ms: number; kilobytes: number }> {
  const startMs = performance.now();
  const response = await fetch(`http://127.0.0.1:${studio.port}${path}`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  const { length } = await response.text();
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return { ms: performance.now() - startMs, kilobytes: length / 1000 };
}

async function measurePages(studio: Studio): Promise<void> {
  const names = ['loss', ...Array.from({ length: 12 }, (_, n) => `metric-${n + 1}`)].join(',');
  const first = await ask(studio, '/api/runs/large');
  say('a run is opened and a million numbers are read, once', `${first.ms.toFixed(0)} ms`);
  const pages = {
    'the list of runs': '/api/runs',
    'the page of the run': '/api/runs/large',
    '13 curves of 500 points': `/api/runs/large/curves?points=500&names=${names}`,
    'the first 50 pairs': '/api/runs/large/pairs',
    'pairs 5,000 to 5,050, clearest first': '/api/runs/large/pairs?order=widest&offset=5000',
    'a search through all texts of pairs': '/api/runs/large/pairs?search=rejected+9999',
    'the lineage of a pair': '/api/runs/large/pairs/pair-777',
    'a search through all prompts': '/api/runs/large/prompts?source=training&search=Prompt+9999',
    'the answers to a prompt': '/api/runs/large/samples?source=training&promptId=large-777',
  };
  for (const [what, path] of Object.entries(pages)) {
    const answers = [];
    for (let repeat = 0; repeat < 7; repeat++) answers.push(await ask(studio, path));
    const sorted = answers.map(({ ms }) => ms).sort((a, b) => a - b);
    say(
      what,
      `${sorted[3]?.toFixed(0)} ms (${sorted[0]?.toFixed(0)} to ${sorted[6]?.toFixed(0)}), ${answers[0]?.kilobytes.toFixed(0)} KB`,
    );
  }
}

/** Finished runs that are alike. */
async function measureList(folder: string): Promise<void> {
  const first = writeStudioRun(join(folder, 'run-0'), { pairs: 50, steps: 100 });
  for (let n = 1; n < RUNS; n++) cpSync(first, join(folder, `run-${n}`), { recursive: true });
  const studio = await serveStudio({ folders: [folder], port: 0, token: TOKEN, assets: new Map() });
  const answers = [];
  for (let look = 0; look < 6; look++) {
    answers.push(await ask(studio, '/api/runs'));
    await setTimeout(BETWEEN_LOOKS_MS);
  }
  await studio.close();
  const [cold, ...warm] = answers.map(({ ms }) => ms);
  const sorted = warm.sort((a, b) => a - b);
  say(`the list of ${RUNS} runs, the first time`, `${cold?.toFixed(0)} ms, ${answers[0]?.kilobytes.toFixed(0)} KB`);
  say(
    `the list of ${RUNS} runs, later`,
    `${sorted[2]?.toFixed(0)} ms (${sorted[0]?.toFixed(0)} to ${sorted[4]?.toFixed(0)})`,
  );
}

/** The studio, the pages and the run that tells something are processes of their own: only the studio's processor time is counted. */
async function measureStreams(folder: string, run: string): Promise<void> {
  const studio = startStudio(folder, TOKEN);
  const port = await portOf(studio);
  const pages = startPages(port, TOKEN, { run: 'large', count: PAGES });
  try {
    pages.stdin?.write('\n');
    await setTimeout(5000); // opening pages is not what following costs
    using log = openEventLog(run);
    const announce = log.through(() => {}, { iteration: 2 });
    using ledger = openLedger(join(run, 'run.db'));
    const before = processorSeconds(studio.pid ?? 0);
    for (let step = 0; step < SECONDS * 4; step++) {
      ledger.putMetric({ iteration: 2, stage: 'train', step: STEPS + step, values: { loss: Math.random() } });
      announce({ kind: 'metrics', step, values: { loss: Math.random(), lr: 1 } });
      await setTimeout(250);
    }
    const share = (processorSeconds(studio.pid ?? 0) - before) / SECONDS;
    say(`a studio with ${PAGES} pages on it, 4 steps a second: of one core`, `${(100 * share).toFixed(2)} %`);
  } finally {
    for (const child of [pages, studio]) await ended(child, 'SIGINT');
  }
}
