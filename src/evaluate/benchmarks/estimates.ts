/** @file Numbers over the items of a benchmark, and over those of each of its groups. */
import { bootstrapMean, sampleDeviation } from '../statistics.ts';
import type { Scores } from './benchmark.ts';

/** A mean over items: as lm-evaluation-harness states it, and with a bootstrap interval over items. */
export interface Estimate {
  value: number;
  /** Sample deviation over the root of the count; NaN for one item. */
  standardError: number;
  low: number;
  high: number;
  count: number;
}

interface Scored {
  scores: Scores;
  groups: readonly string[];
}

const INTERVAL_SEED = 0;

/** Every metric that some item has. */
export function metricsOf(items: readonly Scored[]): Record<string, Estimate> {
  const names = [...new Set(items.flatMap(({ scores }) => Object.keys(scores)))];
  return Object.fromEntries(
    names.map((name) => {
      const values = items.flatMap(({ scores }) => scores[name] ?? []);
      const { value, low, high, count } = bootstrapMean(values, INTERVAL_SEED);
      return [name, { value, standardError: sampleDeviation(values) / Math.sqrt(count), low, high, count }];
    }),
  );
}

/** The same of each group. */
export function groupsOf(items: readonly Scored[]): Record<string, Record<string, Estimate>> {
  const names = [...new Set(items.flatMap(({ groups }) => groups))].sort();
  return Object.fromEntries(
    names.map((name) => [name, metricsOf(items.filter(({ groups }) => groups.includes(name)))]),
  );
}
