/**
 * @file The stage that measures a model on public benchmarks, with the code of `selm eval MODEL --on`. It resumes by item: an
 * answer goes into the ledger as soon as it exists, and nothing is asked twice, whatever else changes.
 */

import { DataError } from '../../errors.ts';
import { answerRoom } from '../../evaluate/benchmarks/answering.ts';
import { type BenchmarkResult, type Respondent, runBenchmark } from '../../evaluate/benchmarks/run.ts';
import { type LoadedTask, loadTask, type PlacedTask, taskOf } from '../../evaluate/benchmarks/tasks.ts';
import { sha256 } from '../../files/hash.ts';
import { baseDirectory } from '../../model/adapter/adapter.ts';
import { readModelConfig } from '../../model/read-config.ts';
import type { BenchmarkSettings, Recipe } from '../../recipe/schema.ts';
import { type BenchmarkScores, scoresOf } from '../../store/benchmark-scores.ts';
import { type IterationContext, runStage } from '../stages/stage.ts';
import { answersOfRun, sharedAnswers } from './benchmark-answers.ts';
import { openSharedRespondent } from './benchmark-work.ts';
import { canMeasure } from './measured.ts';

/** The benchmarks of a recipe, in its order. DataError BENCHMARK_UNKNOWN, BENCHMARK_TWICE. */
export function tasksOf(settings: BenchmarkSettings) {
  const tasks = settings.on.map((each) => {
    const { name, shots, limit } = typeof each === 'string' ? { name: each, shots: null, limit: null } : each;
    return taskOf({ name, shots, limit: limit ?? settings.limit });
  });
  const names = tasks.map(({ benchmark }) => benchmark.name);
  const twice = names.find((name, place) => names.indexOf(name) < place);
  if (twice === undefined) return tasks;
  throw new DataError(
    'BENCHMARK_TWICE',
    `Cannot evaluate on ${twice} twice: evaluate.benchmarks.on names it more than once: name it once, with the limit and the shots that you want`,
    { details: { name: twice } },
  );
}

/**
 * Reads the rows of all benchmarks. What cannot work for this model is refused here, before anything is sampled: DataError
 * CONTEXT_TOO_SHORT, and those of `loadTask`.
 */
export async function loadBenchmarks(recipe: Recipe, placed: readonly PlacedTask[]): Promise<LoadedTask[]> {
  if (placed.length === 0) return [];
  const config = readModelConfig(baseDirectory(recipe.model));
  const loaded: LoadedTask[] = [];
  for (const each of placed) {
    const task = await loadTask(each);
    if (task.maxNewTokens > 0) answerRoom(config, task.maxNewTokens);
    loaded.push(task);
  }
  return loaded;
}

/** A model to measure. */
export interface BenchmarkInput {
  tasks: readonly LoadedTask[];
  modelDirectory: string;
}

/**
 * Measures a model on the benchmarks of the recipe, unless that was done with the same rows and settings. A model that was deleted
 * since it was trained is left out with a warning.
 */
export async function benchmarkModel(
  context: IterationContext,
  { tasks, modelDirectory }: BenchmarkInput,
): Promise<void> {
  const { recipe, ledger, iteration } = context;
  const { benchmarks } = recipe.evaluate;
  if (benchmarks === null || (iteration === 0 && !benchmarks.base)) return;
  const settings = sha256(JSON.stringify([benchmarks.dtype, tasks.map((task) => task.sha256)]));
  const measure = {
    kind: 'benchmarks',
    settings,
    modelDirectory,
    leftOut: 'it is not measured on the benchmarks',
  } as const;
  if (!canMeasure(context, measure)) return;
  await runStage(context, 'benchmark', async () => {
    const results = await askAll(context, { tasks, modelDirectory, settings: benchmarks });
    ledger.putRecord(iteration, 'benchmarks', { settings, results });
    return results.map(describeScores).join('; ');
  });
}

async function askAll(
  context: IterationContext,
  { tasks, modelDirectory, settings }: BenchmarkInput & { settings: BenchmarkSettings },
): Promise<BenchmarkScores[]> {
  const { recipe, ledger, announce, team, signal } = context;
  const { dtype, batchTokens, batchSize } = settings;
  const store = answersOfRun(ledger, sharedAnswers(announce));
  const options = { dtype, batchTokens, batchSize, device: recipe.device };
  const respondent = await openSharedRespondent(modelDirectory, { options, team, signal });
  try {
    const results: BenchmarkScores[] = [];
    for (const task of tasks) {
      const result = await ask(context, { task, respondent, store });
      for (const text of result.warnings) announce({ kind: 'warning', text: `${result.title}: ${text}` });
      results.push(scoresOf(result, task.basis));
    }
    return results;
  } finally {
    respondent.dispose();
    store.close();
  }
}

async function ask(
  { announce, signal }: IterationContext,
  { task, respondent, store }: { task: LoadedTask; respondent: Respondent; store: ReturnType<typeof answersOfRun> },
): Promise<BenchmarkResult> {
  const { benchmark, limit, ...rows } = task;
  let isStarted = false;
  return runBenchmark(benchmark, respondent, {
    ...rows,
    limit: limit ?? undefined,
    store,
    signal,
    progress(done, total) {
      if (isStarted) announce({ kind: 'stage-progress', stage: 'benchmark', done, total });
      else announce({ kind: 'stage-started', stage: 'benchmark', total, done, unit: `items of ${benchmark.title}` });
      isStarted = true;
    },
  });
}

/** `ARC-Challenge acc_norm 0.270 [0.210, 0.330] of 200`. */
function describeScores({ title, mainMetric, metrics, lines }: BenchmarkScores): string {
  const found = metrics[mainMetric];
  if (found === undefined) return `${title}: nothing scored`;
  const { value, low, high } = found;
  return `${title} ${mainMetric} ${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}] of ${lines.length}`;
}
