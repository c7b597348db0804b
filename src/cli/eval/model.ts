/** @file The work of `selm eval MODEL --on ...`: benchmarks one after another, their numbers as text or JSON. */
import { writeFileSync } from 'node:fs';
import { BENCHMARKS, benchmarkNamed } from '../../evaluate/benchmarks/all.ts';
import { defaultStorePath, openAnswerStore } from '../../evaluate/benchmarks/answer-store.ts';
import type { Benchmark, RowSource } from '../../evaluate/benchmarks/benchmark.ts';
import { openRespondent } from '../../evaluate/benchmarks/respondent.ts';
import { filesInFolder, readBenchmarkRows } from '../../evaluate/benchmarks/rows.ts';
import { type BenchmarkResult, runBenchmark, type SourceRow } from '../../evaluate/benchmarks/run.ts';
import { createFile } from '../../files/new-file.ts';
import { localFiles, localModel } from '../../hub/local.ts';
import type { ComputeDtype } from '../../score/policy.ts';
import { UsageError } from '../errors.ts';
import { formatTable } from '../format.ts';
import { hubAccess } from '../hub.ts';
import type { Listening } from './stop.ts';

/** What `selm eval MODEL` was asked for (its options; eval.ts says what each means). */
export interface EvalModelOptions {
  on: string;
  limit?: number;
  shots?: number;
  data?: string;
  dtype: ComputeDtype;
  batchTokens: number;
  batchSize: number;
  store?: string;
  items?: string;
  json?: true;
}

/** Runs the benchmarks and returns what to print. Throws UsageError, ModelError, TextError, DataError, HubError or FileError. */
export async function evalModel(model: string, options: EvalModelOptions, { signal, say }: Listening): Promise<string> {
  const benchmarks = chosen(options.on);
  const directory = await localModel(model, hubAccess());
  const store = openAnswerStore(options.store ?? defaultStorePath());
  const respondent = await openRespondent(directory, options);
  const results: BenchmarkResult[] = [];
  try {
    for (const benchmark of benchmarks) {
      const rows = await rowsOf(benchmark, benchmark.rows, options);
      const started = performance.now();
      const result = await runBenchmark(benchmark, respondent, {
        rows,
        limit: options.limit,
        exampleRows: await exampleRows(benchmark, options),
        shots: options.shots ?? benchmark.shots,
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

function chosen(names: string): Benchmark[] {
  return names.split(',').map((each) => {
    const name = each.trim();
    const found = benchmarkNamed(name) ?? benchmarkNamed(name.replaceAll('-', '_'));
    if (found !== undefined) return found;
    const known = BENCHMARKS.map((benchmark) => benchmark.name).join(', ');
    throw new UsageError(`There is no benchmark "${name}": there are ${known}`);
  });
}

async function rowsOf(benchmark: Benchmark, source: RowSource, { data }: EvalModelOptions): Promise<SourceRow[]> {
  if (data === undefined) return readBenchmarkRows(await localFiles([source.hub], hubAccess()));
  const files = filesInFolder(data, benchmark, source);
  if (files.length > 0) return readBenchmarkRows(files);
  throw new UsageError(
    `${data} has no rows of ${benchmark.name}: put a file whose name begins as ${source.file.source} there, or in ${benchmark.name}/ in it`,
  );
}

async function exampleRows(benchmark: Benchmark, options: EvalModelOptions): Promise<SourceRow[]> {
  const { examples, shots } = benchmark;
  if (examples.kind !== 'drawn' || examples.from === null || (options.shots ?? shots) === 0) return [];
  const { from } = examples;
  if (options.data !== undefined && filesInFolder(options.data, benchmark, from).length === 0) return [];
  return rowsOf(benchmark, from, options);
}

/** A line an item: log-likelihoods or text, and its scores. */
async function writeItems(path: string, results: readonly BenchmarkResult[]): Promise<void> {
  const lines = results.flatMap(({ benchmark, items }) =>
    items.map(({ line, answer, scores, cut }) => JSON.stringify({ benchmark, line, answer, scores, cut })),
  );
  await createFile(path, async (temporary) => writeFileSync(temporary, lines.map((line) => `${line}\n`).join('')));
}

function jsonText(model: string, { dtype }: EvalModelOptions, results: readonly BenchmarkResult[]): string {
  const benchmarks = results.map(({ items, cutItems, fromStore, mainMetric, metrics, ...rest }) => [
    rest.benchmark,
    {
      ...{ ...rest, main_metric: mainMetric, n: items.length, n_cut: cutItems, n_from_store: fromStore },
      metrics: Object.fromEntries(
        Object.entries(metrics).map(([name, { value, standardError, low, high, count }]) => [
          name,
          { value, standard_error: standardError, low, high, n: count },
        ]),
      ),
    },
  ]);
  return JSON.stringify({ model, dtype, benchmarks: Object.fromEntries(benchmarks) });
}

function text(results: readonly BenchmarkResult[]): string {
  const rows = results.flatMap(({ title, shots, metrics, mainMetric }) =>
    Object.entries(metrics).map(([name, { value, standardError, low, high, count }]) => [
      title,
      String(shots),
      name === mainMetric ? `${name} *` : name,
      value.toFixed(4),
      Number.isNaN(standardError) ? '' : standardError.toFixed(4),
      `${low.toFixed(4)} to ${high.toFixed(4)}`,
      String(count),
    ]),
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
