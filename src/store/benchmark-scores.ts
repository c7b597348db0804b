/**
 * @file What a model scored on benchmarks, as a run keeps it and as a report takes it: the numbers, and the scores item by item, so
 * that two models are compared on the items that both have.
 */
import { z } from 'zod';
import type { BenchmarkResult } from '../evaluate/benchmarks/run.ts';

/** JSON has no not-a-number; it is written as null. */
const number = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);

const scoresSchema = z.object({
  /** lm-evaluation-harness's name, and ours for people. */
  benchmark: z.string(),
  title: z.string(),
  shots: z.number(),
  /** Hash of what the scores rest on beside the model: rows and examples, or a judge; null in runs from before it was kept. */
  basis: z.string().nullable().default(null),
  mainMetric: z.string(),
  metrics: z.record(
    z.string(),
    z.object({ value: number, standardError: number, low: number, high: number, count: z.number() }),
  ),
  /** Rows that could not be asked or answered, in no metric. */
  unusable: z.array(z.object({ line: z.number(), problem: z.string() })),
  /** Items whose prompt lost examples or text, because the context of the model is too short for it. */
  cutItems: z.number(),
  /**
   * The rows that were scored, and of each, in the same order, what it scores by metric: where it has several values, their mean; NaN
   * where a metric does not apply.
   */
  lines: z.array(z.number()),
  scores: z.record(z.string(), z.array(number)),
});

/** Parser of a kept measurement; `settings` is a hash of what was asked and how. */
export const benchmarksSchema = z.object({ settings: z.string(), results: z.array(scoresSchema) });

/** One model on one benchmark. */
export type BenchmarkScores = z.output<typeof scoresSchema>;

/** What is kept of a result. */
export function scoresOf(result: BenchmarkResult, basis: string): BenchmarkScores {
  const { benchmark, title, shots, mainMetric, metrics, unusable, cutItems, items } = result;
  const names = Object.keys(metrics);
  return {
    ...{ benchmark, title, shots, basis, mainMetric, metrics, unusable, cutItems },
    lines: items.map(({ line }) => line),
    scores: Object.fromEntries(names.map((name) => [name, items.map(({ scores }) => oneValue(scores[name]))])),
  };
}

function oneValue(score: number | readonly number[] = Number.NaN): number {
  return typeof score === 'number' ? score : score.reduce((sum, value) => sum + value, 0) / score.length;
}

/** Scores of the metric that is usually quoted, by item. */
export function mainScores({ lines, scores, mainMetric }: BenchmarkScores): Map<string, number[]> {
  const values = scores[mainMetric] ?? [];
  return new Map(
    lines.flatMap((line, place): [string, number[]][] => {
      const value = values[place];
      return value === undefined || Number.isNaN(value) ? [] : [[String(line), [value]]];
    }),
  );
}
