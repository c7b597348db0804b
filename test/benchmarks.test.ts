/**
 * @file Benchmarks against lm-evaluation-harness itself (scripts/fixtures/benchmarks.py): accuracies over 200 items of every
 * likelihood task, and the log-likelihoods and answers of small models item by item. SmolLM2-135M-Instruct, a real instruct model, is
 * not in the repository: `$SELM_SMOLLM2` names its folder.
 */
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { memoryStore } from '../src/evaluate/benchmarks/answer-store.ts';
import type { Benchmark } from '../src/evaluate/benchmarks/benchmark.ts';
import { openRespondent } from '../src/evaluate/benchmarks/respondent.ts';
import { filesInFolder, readBenchmarkRows } from '../src/evaluate/benchmarks/rows.ts';
import { type BenchmarkResult, type Respondent, runBenchmark } from '../src/evaluate/benchmarks/run.ts';
import { benchmarkNamed } from '../src/evaluate/benchmarks/suite/all.ts';

/** What the harness says of one task. */
interface Expected {
  shots: number;
  results: Record<string, number>;
  items: (number[] | string)[];
}

const here = fileURLToPath(new URL('.', import.meta.url));
const fixtures = join(here, 'fixtures/evaluate/benchmarks');
const expectedOf = (model: string): Record<string, Expected> =>
  (JSON.parse(readFileSync(join(fixtures, `${model}.json`), 'utf8')) as { tasks: Record<string, Expected> }).tasks;

const folder = mkdtempSync(join(tmpdir(), 'selm-benchmarks-'));
afterAll(() => rmSync(folder, { recursive: true }));

const story = join(here, '../assets/stories260K');
/** Its weights are in the fixtures; its tokenizer is the story model's. */
const random = folder;
for (const [from, names] of [
  [join(fixtures, 'random-llama'), readdirSync(join(fixtures, 'random-llama'))],
  [story, ['tokenizer.json', 'tokenizer_config.json']],
] as const) {
  for (const name of names) copyFileSync(join(from, name), join(folder, name));
}

async function evaluate(benchmark: Benchmark, respondent: Respondent, limit?: number): Promise<BenchmarkResult> {
  const data = join(fixtures, 'data');
  const { examples } = benchmark;
  const from = examples.kind === 'drawn' || examples.kind === 'first' ? examples.from : null;
  const rows = await readBenchmarkRows(filesInFolder(data, benchmark, benchmark.rows));
  return runBenchmark(benchmark, respondent, {
    // A limit counts in each group: of MMLU the first rows are those of its first subjects.
    rows: examples.kind === 'first' ? rows.slice(0, limit) : rows,
    exampleRows: from === null ? [] : await readBenchmarkRows(filesInFolder(data, benchmark, from)),
    shots: benchmark.shots,
    limit,
    store: memoryStore(),
  });
}

/** Gives the harness's own answers, in the order of the items. */
function recorded({ items }: Expected): Respondent {
  let next = 0;
  return {
    identity: 'recorded',
    scoreChoices: (requests) =>
      requests.map(({ id }) => ({ kind: 'answered', id, value: items[next++] as number[], cut: 0 })),
    async *generateAnswers(requests) {
      for (const { id } of requests) yield { kind: 'answered', id, value: items[next++] as string, cut: 0 };
    },
  };
}

describe.each(['stories260K', 'random-llama', 'smollm2'])('the accuracies of %s', (model) => {
  const tasks = expectedOf(model);

  it.each(Object.keys(tasks))('on %s are the harness’s, from its log-likelihoods and answers', async (name) => {
    const benchmark = benchmarkNamed(name);
    const expected = tasks[name];
    if (benchmark === undefined || expected === undefined) throw new Error(`No benchmark ${name}`);
    expect(benchmark.shots).toBe(expected.shots);
    const { metrics, groups } = await evaluate(benchmark, recorded(expected), expected.items.length);
    for (const [metric, value] of Object.entries(expected.results)) {
      const [own = '', group] = metric
        .replace(/,none$/, '')
        .split('/')
        .reverse();
      const found = group === undefined ? metrics : groups[group];
      expect(found?.[own]?.value, metric).toBeCloseTo(value, 5); // log-likelihoods are kept to 1e-6
    }
  });
});

/**
 * Sums of up to 300 token log-probabilities in float32, in another order than PyTorch's: 1e-4 below 100 nats, and relative to the sum
 * beyond.
 */
function isNear(actual: number, expected: number): boolean {
  return Math.abs(actual - expected) <= 1e-4 * Math.max(1, Math.abs(expected) / 100);
}

function expectSame(result: BenchmarkResult, { items }: Expected): void {
  for (const [place, { answer }] of result.items.entries()) {
    const wanted = items[place];
    if (typeof answer === 'string' || typeof wanted === 'string' || wanted === undefined) {
      expect(answer).toBe(wanted);
      continue;
    }
    expect(answer).toHaveLength(wanted.length);
    const far = answer.filter((value, choice) => !isNear(value, wanted[choice] ?? Number.NaN));
    expect(far, `${result.benchmark} ${place}: ${wanted}`).toEqual([]);
  }
}

describe.each([
  ['stories260K', story],
  ['random-llama', random],
])('every log-likelihood and answer of %s', (model, directory) => {
  // Of 200 items a few: what differs from the harness differs at once. The whole: $SELM_EVALUATION_ITEMS=200.
  const limit = Number(process.env.SELM_EVALUATION_ITEMS ?? 4);
  const tasks = expectedOf(model);

  it('is the harness’s, also where a prompt does not fit and loses its start', async () => {
    const respondent = await openRespondent(directory, { dtype: 'float32', batchTokens: 4096, batchSize: 8 });
    try {
      for (const [name, expected] of Object.entries(tasks)) {
        const benchmark = benchmarkNamed(name);
        if (benchmark === undefined) throw new Error(`No benchmark ${name}`);
        const few = typeof expected.items[0] === 'string' ? Math.min(limit, 2) : limit;
        expectSame(await evaluate(benchmark, respondent, Math.min(few, expected.items.length)), expected);
      }
    } finally {
      respondent.dispose();
    }
  });
});

const smollm2 = process.env.SELM_SMOLLM2 ?? '';

describe.skipIf(!existsSync(smollm2))('SmolLM2-135M-Instruct ($SELM_SMOLLM2)', () => {
  const tasks = expectedOf('smollm2');

  it.each(Object.keys(tasks))(
    'has the harness’s log-likelihoods and answers on %s',
    { timeout: 3_600_000 },
    async (name) => {
      const respondent = await openRespondent(smollm2, { dtype: 'float32', batchTokens: 4096, batchSize: 8 });
      try {
        const [benchmark, expected] = [benchmarkNamed(name), tasks[name]];
        if (benchmark === undefined || expected === undefined) throw new Error(`No benchmark ${name}`);
        const limit = Math.min(Number(process.env.SELM_EVALUATION_ITEMS ?? Infinity), expected.items.length);
        expectSame(await evaluate(benchmark, respondent, limit), expected);
      } finally {
        respondent.dispose();
      }
    },
  );
});
