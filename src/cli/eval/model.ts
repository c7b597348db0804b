/** @file The work of `selm eval MODEL --on ...`: benchmarks one after another, their numbers as text or JSON. */
import { writeFileSync } from 'node:fs';
import { defaultStorePath, openAnswerStore } from '../../evaluate/benchmarks/answer-store.ts';
import { type BenchmarkResult, runBenchmark } from '../../evaluate/benchmarks/run.ts';
import { loadTask, placeTask, taskOf } from '../../evaluate/benchmarks/tasks.ts';
import { createFile } from '../../files/new-file.ts';
import { localFiles, localModel } from '../../hub/local.ts';
import { openSharedRespondent } from '../../loop/evaluation/benchmark-work.ts';
import type { ComputeDtype } from '../../score/policy.ts';
import { chosenDevice } from '../device.ts';
import { formatTable } from '../format.ts';
import { hubAccess } from '../hub.ts';
import type { SharedListening } from './stop.ts';

/** What `selm eval MODEL` was asked for (its options; eval.ts says what each means). */
export interface EvalModelOptions {
  on: string;
  limit?: number;
  shots?: number;
  data?: string;
  dtype: ComputeDtype;
  device?: string;
  batchTokens: number;
  batchSize: number;
  store?: string;
  items?: string;
  json?: true;
}

/** Runs the benchmarks and returns what to print. Throws ModelError, TextError, DataError, HubError or FileError. */
export async function evalModel(
  model: string,
  options: EvalModelOptions,
  { signal, say, team }: SharedListening,
): Promise<string> {
  const { limit, shots, data } = options;
  const tasks = options.on.split(',').map((name) => taskOf({ name: name.trim(), shots, limit }));
  const { dtype, batchTokens, batchSize } = options;
  const device = await chosenDevice(options.device, { dtypes: [dtype], say });
  const directory = await localModel(model, hubAccess());
  const place = data === undefined ? { fetch: (name: string) => localFiles([name], hubAccess()) } : { folder: data };
  // All of them before the first is asked: a missing file shows at once.
  const placed = [];
  for (const task of tasks) placed.push(await placeTask(task, place));
  const store = openAnswerStore(options.store ?? defaultStorePath());
  const respondent = await openSharedRespondent(directory, {
    options: { dtype, batchTokens, batchSize, device },
    team,
    signal,
  });
  const results: BenchmarkResult[] = [];
  try {
    for (const task of placed) {
      const { benchmark, ...loaded } = await loadTask(task);
      const started = performance.now();
      const result = await runBenchmark(benchmark, respondent, {
        ...loaded,
        limit,
        store,
        signal,
        progress: progressLine(benchmark.title),
      });
      const seconds = (performance.now() - started) / 1000;
      say(
        `${benchmark.title}: ${result.items.length} items, ${result.fromStore} of them kept from before, ${seconds.toFixed(1)} s`,
      );
      results.push(result);
    }
  } finally {
    respondent.dispose();
    store.close();
  }
  if (options.items !== undefined) await writeItems(options.items, results);
  return options.json ? jsonText(model, options, results) : text(results);
}

/** A line an item: log-likelihoods or text, and its scores. */
async function writeItems(path: string, results: readonly BenchmarkResult[]): Promise<void> {
  const lines = results.flatMap(({ benchmark, items }) =>
    items.map(({ line, answer, scores, cut }) => JSON.stringify({ benchmark, line, answer, scores, cut })),
  );
  await createFile(path, async (temporary) => writeFileSync(temporary, lines.map((line) => `${line}\n`).join('')));
}

function jsonText(model: string, { dtype }: EvalModelOptions, results: readonly BenchmarkResult[]): string {
  const benchmarks = results.map(({ items, cutItems, fromStore, mainMetric, metrics, groups, ...rest }) => [
    rest.benchmark,
    {
      ...{ ...rest, main_metric: mainMetric, n: items.length, n_cut: cutItems, n_from_store: fromStore },
      metrics: jsonMetrics(metrics),
      ...(Object.keys(groups).length === 0 ? {} : { groups: mapValues(groups, jsonMetrics) }),
    },
  ]);
  return JSON.stringify({ model, dtype, benchmarks: Object.fromEntries(benchmarks) });
}

function jsonMetrics(metrics: BenchmarkResult['metrics']): Record<string, unknown> {
  return mapValues(metrics, ({ value, standardError, low, high, count }) => ({
    ...{ value, standard_error: standardError, low, high, n: count },
  }));
}

function mapValues<From, To>(record: Record<string, From>, change: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
}

function text(results: readonly BenchmarkResult[]): string {
  const rows = results.flatMap(({ title, shots, metrics, mainMetric, groups }) =>
    [[title, metrics] as const, ...Object.entries(groups)].flatMap(([part, numbers]) =>
      Object.entries(numbers).map(([name, { value, standardError, low, high, count }]) => [
        part === title ? title : `  ${part}`,
        String(shots),
        name === mainMetric ? `${name} *` : name,
        value.toFixed(4),
        Number.isNaN(standardError) ? '' : standardError.toFixed(4),
        `${low.toFixed(4)} to ${high.toFixed(4)}`,
        String(count),
      ]),
    ),
  );
  const header = ['benchmark', 'shots', 'metric', 'value', 'SE', '95 % interval', 'n'];
  const warnings = results.flatMap(({ title, warnings: own, unusable }) => [
    ...own.map((warning) => `${title}: ${warning}`),
    ...unusable.slice(0, 5).map(({ line, problem }) => `${title}, row ${line}: ${problem}`),
  ]);
  return [formatTable(header, rows), ...warnings].join('\n');
}

/** On a terminal a line that counts; nothing elsewhere. */
function progressLine(title: string): ((done: number, total: number) => void) | undefined {
  if (process.stderr.isTTY !== true) return undefined;
  return (done, total) => {
    process.stderr.write(done === total ? '\r\x1b[2K' : `\r\x1b[2K${title}: ${done}/${total} items`);
  };
}
