/**
 * @file Our side of the comparison, in a process of its own: one benchmark, timed after the model is loaded; prints one JSON line with
 * the fields of peers/lm_eval_tasks.py. Usage: eval-run.ts MODEL DATA BENCHMARK ITEMS DTYPE THREADS BATCH_TOKENS
 */

import { memoryStore } from '../src/evaluate/benchmarks/answer-store.ts';
import { openRespondent } from '../src/evaluate/benchmarks/respondent.ts';
import { filesInFolder, readBenchmarkRows } from '../src/evaluate/benchmarks/rows.ts';
import { runBenchmark } from '../src/evaluate/benchmarks/run.ts';
import { benchmarkNamed } from '../src/evaluate/benchmarks/suite/all.ts';
import { memoryStatistics } from '../src/torch/memory.ts';
import { setThreads } from '../src/torch/native.ts';

const [model = '', data = '', name = '', items = '', dtype = '', threads = '', batchTokens = ''] =
  process.argv.slice(2);
setThreads(Number(threads));
const benchmark = benchmarkNamed(name);
if (benchmark === undefined) throw new Error(`No benchmark ${name}`);
const { examples } = benchmark;
const from = examples.kind === 'drawn' || examples.kind === 'first' ? examples.from : null;
const pool = from === null ? [] : filesInFolder(data, benchmark, from);
const rows = await readBenchmarkRows(filesInFolder(data, benchmark, benchmark.rows));
const exampleRows = await readBenchmarkRows(pool);
const respondent = await openRespondent(model, {
  dtype: dtype === 'bfloat16' ? 'bfloat16' : 'float32',
  batchTokens: Number(batchTokens),
  batchSize: 32,
});
// Weights are laid out with the first question: the peer's clock starts when its model is loaded, and so does ours.
for await (const _ of respondent.scoreChoices([{ id: 'first', context: 'A', continuations: [' b'] }]));

const started = performance.now();
const cpuBefore = process.cpuUsage();
const result = await runBenchmark(benchmark, respondent, {
  ...{ rows, exampleRows, shots: benchmark.shots, limit: Number(items) },
  store: memoryStore(),
});
const seconds = (performance.now() - started) / 1000;
const cpu = process.cpuUsage(cpuBefore);
const processorSeconds = (cpu.user + cpu.system) / 1e6;
respondent.dispose();
const peakMb = Math.round(memoryStatistics().peakResidentBytes / 2 ** 20);
process.stdout.write(
  `${JSON.stringify({ seconds, processor_seconds: processorSeconds, first: result.items[0]?.answer, peak_rss_mb: peakMb })}\n`,
);
