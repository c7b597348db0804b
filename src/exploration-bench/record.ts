/**
 * @file All runs of a benchmark in one small file, one line a run. A repository keeps it when the cells are gone, and
 * the tables can be made from it again.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { SweepError } from '../errors.ts';
import { fileError } from '../files/fs.ts';
import { jsonProblem } from '../files/json-problem.ts';
import type { CellResults } from './cells.ts';
import type { ComparedGrid, ResultsByWorld } from './comparison.ts';
import type { Point, RunResult } from './run.ts';

/** What the numbers of a point are, in their order; null where a world has no such thing. */
const COLUMNS = [
  'labels',
  'sampled',
  'reward',
  'rareShare',
  'klToBase',
  'entropy',
  'tokens',
  'distinct2',
  'soundness',
] as const;

const run = z.strictObject({
  world: z.string(),
  method: z.string(),
  seed: z.int(),
  best: z.number(),
  regret: z.number(),
  rare: z.strictObject({ sampled: z.int(), paired: z.int(), chosen: z.int() }),
  points: z.array(z.array(z.number().nullable()).length(COLUMNS.length)).min(1),
  /** Scores on benchmarks by their names, one a point, where they were measured. */
  benchmarks: z.array(z.record(z.string(), z.number()).nullable()).optional(),
});

const recordSchema = z.strictObject({
  formatVersion: z.literal(1),
  bench: z.string(),
  columns: z.tuple([z.literal(COLUMNS[0])], z.string()),
  runs: z.array(run),
});

type RecordedRun = z.output<typeof run>;

/** The record of all results that are there, as JSON with a run a line. Five digits are more than any table shows. */
export function recordText(bench: string, grid: ComparedGrid, results: ResultsByWorld): string {
  const runs = grid.worlds.flatMap(({ name: world }) =>
    grid.seeds.flatMap((seed, index) =>
      grid.methods.flatMap(({ name: method }) => {
        const result = results.get(world)?.[index]?.[method];
        return result === undefined ? [] : [recordedRun({ world, method, seed }, result)];
      }),
    ),
  );
  const lines = runs.map((each) => JSON.stringify(each, rounded)).join(',\n');
  return `{"formatVersion":1,"bench":${JSON.stringify(bench)},"columns":${JSON.stringify(COLUMNS)},"runs":[\n${lines}\n]}\n`;
}

/**
 * The results of a record, for the worlds, seeds and methods of a grid.
 *
 * @throws SweepError BENCH_RECORD where the file is none, or of another benchmark; FileError where it cannot be read
 */
export function readRecord(file: string, bench: string, grid: ComparedGrid): ResultsByWorld {
  const record = parse(file);
  if (record.bench !== bench) {
    throw unusable(
      file,
      `it is of benchmark "${record.bench}": give the record of "${bench}", or that benchmark's grid`,
    );
  }
  return new Map(
    grid.worlds.map(({ name }) => {
      const cells = grid.seeds.map((seed): CellResults => {
        const own = record.runs.filter((each) => each.world === name && each.seed === seed);
        return Object.fromEntries(own.map((each) => [each.method, resultOf(each)]));
      });
      return [name, cells];
    }),
  );
}

function parse(file: string): z.output<typeof recordSchema> {
  const parsed = recordSchema.safeParse(contentOf(file));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw unusable(file, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}: give a runs.json of format version 1`);
}

function contentOf(file: string): unknown {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw unusable(file, `${jsonProblem(text, error)}: give a runs.json`);
    throw fileError(error, { action: 'read', path: file });
  }
}

function unusable(file: string, problem: string): SweepError {
  return new SweepError('BENCH_RECORD', `Cannot compare the runs in "${file}": ${problem}`, { details: { file } });
}

function recordedRun(
  place: Pick<RecordedRun, 'world' | 'method' | 'seed'>,
  { points, best, regret, rare }: RunResult,
): RecordedRun {
  const benchmarks = points.map(({ text }) => (text?.benchmarks === undefined ? null : { ...text.benchmarks }));
  return {
    ...place,
    best,
    regret,
    rare: { ...rare },
    points: points.map(({ labels, sampled, reward, rareShare, klToBase, entropy, text }) => [
      ...[labels, sampled, reward, rareShare, klToBase, entropy],
      ...[text?.tokens ?? null, text?.distinct2 ?? null, text?.soundness ?? null],
    ]),
    ...(benchmarks.every((each) => each === null) ? {} : { benchmarks }),
  };
}

function resultOf({ best, regret, rare, points, benchmarks }: RecordedRun): RunResult {
  return {
    best,
    regret,
    rare,
    points: points.map((numbers, index): Point => {
      const [labels, sampled, reward, rareShare, klToBase, entropy = null, tokens = null, distinct2, soundness = null] =
        numbers;
      const scores = benchmarks?.[index] ?? null;
      return {
        labels: labels ?? Number.NaN,
        sampled: sampled ?? Number.NaN,
        reward: reward ?? Number.NaN,
        rareShare: rareShare ?? Number.NaN,
        klToBase: klToBase ?? Number.NaN,
        entropy,
        ...(tokens === null
          ? {}
          : {
              text: {
                tokens,
                distinct2: distinct2 ?? Number.NaN,
                soundness,
                ...(scores === null ? {} : { benchmarks: scores }),
              },
            }),
      };
    }),
  };
}

function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
}
