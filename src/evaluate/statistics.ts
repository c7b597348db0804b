/**
 * @file The statistics of an evaluation: means and win rates with bootstrap intervals, distributions, distances between
 * policies. Pure functions on numbers; the same seed gives the same interval. Several samples of one prompt are not
 * independent, so every interval resamples prompts, never samples (Miller 2024, https://arxiv.org/abs/2411.00640 §2.2).
 */
import { DataError } from '../errors.ts';
import { randomKey, uniformAt } from '../random.ts';

/** Prompts (or items) that a statement about a winner needs: an interval over fewer says too little, and too surely. */
export const FEWEST_PROMPTS = 20;

/** An estimate with the bounds of its interval. With one prompt the bounds are the value itself. */
export interface Interval {
  value: number;
  low: number;
  high: number;
  /** Independent observations behind it (prompts). */
  count: number;
}

/** Numbers of one policy by prompt, e.g. the rewards of its samples. */
export type ByPrompt = ReadonlyMap<string, readonly number[]>;

export interface IntervalOptions {
  /** Resamples. @default 2000 */
  resamples?: number;
  /** Probability that the interval is meant to cover. @default 0.95 */
  level?: number;
}

/** Arithmetic mean; NaN of nothing. */
export function mean(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / values.length;
}

/** Sample standard deviation (n - 1); NaN of less than two values. */
export function sampleDeviation(values: readonly number[]): number {
  const center = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1));
}

/** The `probability` quantile with linear interpolation (type 7 of Hyndman and Fan 1996, as numpy); NaN of nothing. */
export function quantile(values: readonly number[], probability: number): number {
  return sortedQuantile(Float64Array.from(values).sort(), probability);
}

/**
 * Mean with its percentile bootstrap interval (Efron 1979). The values are taken as independent.
 *
 * @param seed the interval depends on it, and on nothing else that is random
 * @throws DataError EVALUATION_EMPTY
 */
export function bootstrapMean(values: readonly number[], seed: number, options: IntervalOptions = {}): Interval {
  const { resamples = 2000, level = 0.95 } = options;
  if (values.length === 0) {
    throw new DataError(
      'EVALUATION_EMPTY',
      'Cannot estimate a mean of no values: an evaluation needs at least one prompt',
    );
  }
  const draws = resamplingTable(seed, values.length, resamples);
  const means = Float64Array.from({ length: resamples }, (_, resample) =>
    resampledMean(values, draws, resample),
  ).sort();
  return {
    value: mean(values),
    low: sortedQuantile(means, (1 - level) / 2),
    high: sortedQuantile(means, (1 + level) / 2),
    count: values.length,
  };
}

/** Mean over prompts of each prompt's mean, with the interval over prompts. */
export function meanByPrompt(scores: ByPrompt, seed: number, options: IntervalOptions = {}): Interval {
  return bootstrapMean([...scores.values()].map(mean), seed, options);
}

/** Mean of (ours - theirs), paired by prompt: an interval without 0 tells two policies apart. Throws DataError. */
export function meanDifference(
  ours: ByPrompt,
  theirs: ByPrompt,
  seed: number,
  options: IntervalOptions = {},
): Interval {
  const differences = paired(ours, theirs).map(([our, their]) => mean(our) - mean(their));
  return bootstrapMean(differences, seed, options);
}

/** As meanDifference, on what both have; null where they have nothing in common. */
export function commonDifference(
  ours: ByPrompt,
  theirs: ByPrompt,
  seed: number,
  options: IntervalOptions = {},
): Interval | null {
  const differences = [...ours].flatMap(([id, our]) => {
    const their = theirs.get(id);
    return their === undefined ? [] : [mean(our) - mean(their)];
  });
  return differences.length === 0 ? null : bootstrapMean(differences, seed, options);
}

/** How often ours is better than theirs, ties counted half. */
export interface WinRate extends Interval {
  /** Shares of the comparisons; they sum to 1. */
  wins: number;
  ties: number;
  losses: number;
}

/**
 * Win rate in [0, 1], paired by prompt: each of our samples against each of theirs on the same prompt, a tie one half.
 *
 * @throws DataError EVALUATION_PROMPTS_DIFFER, EVALUATION_EMPTY
 */
export function winRate(ours: ByPrompt, theirs: ByPrompt, seed: number, options: IntervalOptions = {}): WinRate {
  const shares = [...winShares(ours, theirs).values()];
  const interval = bootstrapMean(
    shares.map(({ wins, ties }) => wins + ties / 2),
    seed,
    options,
  );
  return {
    ...interval,
    wins: mean(shares.map(({ wins }) => wins)),
    ties: mean(shares.map(({ ties }) => ties)),
    losses: mean(shares.map(({ losses }) => losses)),
  };
}

/** Shares of a prompt's comparisons: each of our samples against each of theirs. They sum to 1. */
export interface WinShares {
  wins: number;
  ties: number;
  losses: number;
}

/** What winRate averages, by prompt. Throws DataError EVALUATION_PROMPTS_DIFFER. */
export function winShares(ours: ByPrompt, theirs: ByPrompt): Map<string, WinShares> {
  return new Map(
    paired(ours, theirs).map(([our, their, promptId]) => {
      const comparisons = our.flatMap((a) => their.map((b) => Math.sign(a - b)));
      const share = (outcome: number) => comparisons.filter((value) => value === outcome).length / comparisons.length;
      return [promptId, { wins: share(1), ties: share(0), losses: share(-1) }];
    }),
  );
}

/**
 * Mean by prompt over several runs: each run's mean over its samples, then over the runs that have the prompt. What is left
 * to be independent are the prompts.
 */
export function pooledByPrompt(runs: readonly ByPrompt[]): Map<string, number> {
  const all = new Map<string, number[]>();
  for (const run of runs) {
    for (const [promptId, values] of run) all.set(promptId, [...(all.get(promptId) ?? []), mean(values)]);
  }
  return new Map([...all].map(([promptId, means]) => [promptId, mean(means)]));
}

/**
 * KL(policy || base) in nats a response, estimated on the policy's own responses: the mean of
 * log policy(y) - log base(y), y ~ policy. Unbiased, and may come out below 0 where the two are close.
 *
 * @param logProbs summed log-probabilities of each response under both, by prompt; sampled at temperature 1, or it is
 * the KL of what was sampled only in name
 */
export function klEstimate(
  logProbs: ReadonlyMap<string, readonly { policy: number; base: number }[]>,
  seed: number,
  options: IntervalOptions = {},
): Interval {
  const ratios = new Map([...logProbs].map(([id, rows]) => [id, rows.map(({ policy, base }) => policy - base)]));
  return meanByPrompt(ratios, seed, options);
}

/** Equal bins over [low, high]; `counts[i]` holds low + i·width <= value < low + (i+1)·width, the last one its end too. */
export interface Histogram {
  low: number;
  high: number;
  counts: number[];
  /** Values outside [low, high] or not finite: counted, not drawn. */
  outside: number;
}

/** Counts values in equal bins. */
export function histogram(values: readonly number[], range: { low: number; high: number; bins: number }): Histogram {
  const { low, high, bins } = range;
  const counts = new Array<number>(bins).fill(0);
  let outside = 0;
  for (const value of values) {
    if (!(value >= low && value <= high)) outside++;
    else {
      const bin = Math.min(bins - 1, Math.floor(((value - low) / (high - low)) * bins));
      counts[bin] = (counts[bin] ?? 0) + 1;
    }
  }
  return { low, high, counts, outside };
}

/**
 * distinct-n (Li et al. 2016, https://arxiv.org/abs/1510.03055): different n-grams of words over all n-grams, in (0, 1];
 * 1 where there is no n-gram. One text: how much it repeats itself. Many texts: how alike they are; compare equal counts.
 */
export function distinctShare(texts: readonly string[], n: number): number {
  const grams = texts.flatMap((text) => {
    const words = wordsOf(text);
    return words.slice(n - 1).map((_, start) => words.slice(start, start + n).join(' '));
  });
  return grams.length === 0 ? 1 : new Set(grams).size / grams.length;
}

/** Words of a text in lower case: letters, digits and apostrophes. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? [];
}

/** Lengths (tokens) in five numbers. */
export interface LengthStatistics {
  mean: number;
  median: number;
  p95: number;
  shortest: number;
  longest: number;
}

/** Summary of token counts; all NaN of nothing. */
export function lengthStatistics(lengths: readonly number[]): LengthStatistics {
  return {
    mean: mean(lengths),
    median: quantile(lengths, 0.5),
    p95: quantile(lengths, 0.95),
    shortest: quantile(lengths, 0),
    longest: quantile(lengths, 1),
  };
}

/** Groups parallel arrays by prompt, in order of first appearance. */
export function byPrompt(promptIds: readonly string[], values: readonly number[]): Map<string, number[]> {
  if (promptIds.length !== values.length) {
    throw new DataError(
      'EVALUATION_LENGTHS_DIFFER',
      `Cannot group ${values.length} values by ${promptIds.length} prompt ids: there must be one id a value`,
    );
  }
  const groups = new Map<string, number[]>();
  for (const [index, promptId] of promptIds.entries()) {
    const group = groups.get(promptId) ?? [];
    group.push(values[index] ?? Number.NaN);
    groups.set(promptId, group);
  }
  return groups;
}

function paired(ours: ByPrompt, theirs: ByPrompt): [readonly number[], readonly number[], string][] {
  const pairs: [readonly number[], readonly number[], string][] = [];
  const alone = [...theirs.keys()].find((promptId) => !ours.has(promptId));
  for (const [promptId, our] of ours) {
    const their = theirs.get(promptId);
    if (their === undefined || alone !== undefined) {
      throw new DataError(
        'EVALUATION_PROMPTS_DIFFER',
        `Cannot compare two evaluations by prompt: prompt ${alone ?? promptId} is in one of them only, so evaluate both on the same prompts`,
        { details: { promptId: alone ?? promptId } },
      );
    }
    pairs.push([our, their, promptId]);
  }
  return pairs;
}

function resampledMean(values: readonly number[], draws: Int32Array, resample: number): number {
  const start = resample * values.length;
  let total = 0;
  for (let draw = start; draw < start + values.length; draw++) total += values[draws[draw] ?? 0] ?? 0;
  return total / values.length;
}

/** The last table made: a report asks for some hundred intervals over the same prompts. */
let lastTable: { name: string; draws: Int32Array } = { name: '', draws: new Int32Array(0) };

/** Which value each draw of each resample takes: of (seed, count, resamples) alone, so that intervals are comparable. */
export function resamplingTable(seed: number, count: number, resamples: number): Int32Array {
  const name = `${seed} ${count} ${resamples}`;
  if (lastTable.name !== name) {
    const key = randomKey(seed, 'bootstrap');
    const draws = new Int32Array(resamples * count);
    for (let draw = 0; draw < draws.length; draw++) draws[draw] = Math.floor(uniformAt(key, draw) * count);
    lastTable = { name, draws };
  }
  return lastTable.draws;
}

function sortedQuantile(sorted: Float64Array, probability: number): number {
  const position = (sorted.length - 1) * probability;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}
