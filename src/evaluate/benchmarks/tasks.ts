/**
 * @file Benchmarks as a command line or a recipe asks for them: by name, with a number of rows and of examples. Finds their
 * files, reads them, and refuses what no model could answer, before any model is asked.
 */
import { DataError } from '../../errors.ts';
import { sha256 } from '../../files/hash.ts';
import { knownSha256 } from '../../files/known-hashes.ts';
import type { Benchmark, RowSource } from './benchmark.ts';
import { readExamples, readRows, type SourceRow } from './items.ts';
import { filesInFolder, readBenchmarkRows } from './rows.ts';
import { promptsOf } from './shots.ts';
import { BENCHMARKS, benchmarkNamed } from './suite/all.ts';

/** A benchmark to run. */
export interface Task {
  benchmark: Benchmark;
  shots: number;
  /** Only the first rows are asked; null: all. */
  limit: number | null;
}

/** A benchmark to run and where its rows are. */
export interface PlacedTask extends Task {
  files: readonly string[];
  /** Rows to draw examples from; none where the benchmark draws none, or where a folder has none. */
  exampleFiles: readonly string[];
}

/** A benchmark whose rows were read. */
export interface LoadedTask extends Task {
  rows: readonly SourceRow[];
  exampleRows: readonly SourceRow[];
  /** Rows among those asked that can be asked, and those that cannot. */
  items: number;
  unusable: number;
  /** The longest answer that its items ask for, in tokens; 0 where none is generated. */
  maxNewTokens: number;
  /** Hash of all that decides what is asked: the rows, their number, the examples. */
  sha256: string;
  /** Hash of rows and examples, whatever the limit: models with the same one can be compared item by item. */
  basis: string;
}

/** How a task is written: a name, or a name with numbers of its own. */
export interface TaskRequest {
  name: string;
  shots?: number | null | undefined;
  limit?: number | null | undefined;
}

/** The task of a request. DataError BENCHMARK_UNKNOWN for a name that no benchmark has. */
export function taskOf({ name, shots, limit }: TaskRequest): Task {
  const benchmark = benchmarkNamed(name) ?? benchmarkNamed(name.replaceAll('-', '_'));
  if (benchmark === undefined) {
    const known = BENCHMARKS.map((each) => each.name).join(', ');
    throw new DataError(
      'BENCHMARK_UNKNOWN',
      `Cannot evaluate on "${name}": there is no such benchmark: allowed are ${known}`,
      {
        details: { name },
      },
    );
  }
  return { benchmark, shots: shots ?? benchmark.shots, limit: limit ?? null };
}

/** Where rows come from: a folder of files, or the Hub by a function that fetches a name. */
export type RowPlace = { folder: string } | { fetch: (hubName: string) => Promise<string[]> };

/** The names on the Hub that a task needs. */
export function hubNamesOf(task: Task): string[] {
  const from = exampleSource(task);
  return [task.benchmark.rows.hub, ...(from === null ? [] : [from.hub])];
}

/** Finds the files of a task. DataError BENCHMARK_ROWS_MISSING where a folder has none; what `fetch` throws. */
export async function placeTask(task: Task, place: RowPlace): Promise<PlacedTask> {
  const { benchmark } = task;
  const from = exampleSource(task);
  if ('fetch' in place) {
    const exampleFiles = from === null ? [] : await place.fetch(from.hub);
    return { ...task, files: await place.fetch(benchmark.rows.hub), exampleFiles };
  }
  const files = filesInFolder(place.folder, benchmark, benchmark.rows);
  if (files.length === 0) {
    throw new DataError(
      'BENCHMARK_ROWS_MISSING',
      `Cannot evaluate on ${benchmark.name}: ${place.folder} has no rows of it: put a file whose name begins as ${benchmark.rows.file.source} there, or in ${benchmark.name}/ in it`,
      { details: { benchmark: benchmark.name, folder: place.folder } },
    );
  }
  return { ...task, files, exampleFiles: from === null ? [] : filesInFolder(place.folder, benchmark, from) };
}

/**
 * Reads the rows of a task and looks through those that are asked. DataError BENCHMARK_EMPTY where none of them can be asked,
 * EVALUATION_SHOTS where there are too few examples, or of a file that cannot be read.
 */
export async function loadTask({ files, exampleFiles, ...task }: PlacedTask): Promise<LoadedTask> {
  const { benchmark, shots, limit } = task;
  const rows = await readBenchmarkRows(files);
  const exampleRows = await readBenchmarkRows(exampleFiles);
  const { asked, unusable, readable } = readRows(benchmark, rows, limit ?? undefined);
  const items = asked.map(({ item }) => item);
  const [first] = items;
  if (first === undefined) {
    const [bad] = unusable;
    throw new DataError(
      'BENCHMARK_EMPTY',
      `Cannot evaluate on ${benchmark.name}: none of the ${unusable.length} rows of ${files.join(', ')} can be used${bad === undefined ? '' : ` (of the first, ${bad.problem})`}: give the rows in one of the forms of docs/evaluation.md`,
      { details: { benchmark: benchmark.name, files } },
    );
  }
  const examples = readExamples(benchmark, exampleRows);
  // Drawn for the first item only: that there are enough of them is the same question for all. Groups have examples of their own.
  promptsOf(benchmark, benchmark.examples.kind === 'first' ? items : [first], {
    shots,
    pool: benchmark.examples.kind === 'drawn' && examples.length === 0 ? readable : examples,
  });
  const digests = await Promise.all([...files, ...exampleFiles].map(knownSha256));
  return {
    ...task,
    ...{ rows, exampleRows, items: items.length, unusable: unusable.length },
    maxNewTokens: items.reduce(
      (most, { question }) => (question.kind === 'generation' ? Math.max(most, question.maxNewTokens) : most),
      0,
    ),
    sha256: sha256(JSON.stringify([benchmark.name, shots, limit, digests])),
    basis: sha256(JSON.stringify([benchmark.name, shots, digests])),
  };
}

function exampleSource({ benchmark: { examples }, shots }: Task): RowSource | null {
  const isFrom = examples.kind === 'drawn' || examples.kind === 'first';
  return isFrom && shots > 0 ? examples.from : null;
}
