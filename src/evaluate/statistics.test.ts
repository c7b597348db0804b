import { expect, test } from 'vitest';
import { DataError } from '../errors.ts';
import { normalAt, randomKey } from '../random.ts';
import {
  bootstrapMean,
  byPrompt,
  distinctShare,
  histogram,
  klEstimate,
  lengthStatistics,
  mean,
  meanByPrompt,
  meanDifference,
  quantile,
  winRate,
} from './statistics.ts';

const scores = (...rows: [string, ...number[]][]) => new Map(rows.map(([id, ...values]) => [id, values]));

test('quantile() interpolates as numpy does', () => {
  // numpy.quantile([3, 1, 4, 1, 5], [0, .25, .5, .9, 1])
  expect([0, 0.25, 0.5, 0.9, 1].map((p) => quantile([3, 1, 4, 1, 5], p))).toEqual([1, 1, 3, 4.6, 5]);
});

test('mean() of nothing is NaN, and no number is invented', () => {
  expect(mean([])).toBeNaN();
});

test('bootstrapMean() is the same for the same seed and another for another seed', () => {
  const values = Array.from({ length: 30 }, (_, index) => Math.sin(index));
  expect(bootstrapMean(values, 1)).toEqual(bootstrapMean(values, 1));
  expect(bootstrapMean(values, 1).low).not.toBe(bootstrapMean(values, 2).low);
});

test('bootstrapMean() of normal numbers is the interval of the normal theory', () => {
  const key = randomKey(7, 'test');
  const values = Array.from({ length: 400 }, (_, index) => 3 + 2 * normalAt(key, index));
  const deviation = Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)));
  const { value, low, high } = bootstrapMean(values, 3, { resamples: 4000 });
  const half = (1.96 * deviation) / Math.sqrt(400);
  // 4000 resamples place a 2.5 % quantile within about 3 % of the half width (standard error, times two).
  expect(Math.abs(value - half - low) / half).toBeLessThan(0.08);
  expect(Math.abs(value + half - high) / half).toBeLessThan(0.08);
});

test('bootstrapMean() covers the true mean about as often as its level says', () => {
  let covered = 0;
  for (let trial = 0; trial < 300; trial++) {
    const key = randomKey(trial, 'coverage');
    const values = Array.from({ length: 40 }, (_, index) => normalAt(key, index));
    const { low, high } = bootstrapMean(values, trial, { resamples: 400, level: 0.9 });
    if (low <= 0 && 0 <= high) covered++;
  }
  // Percentile intervals of 40 values are a little short; binomial deviation of 300 trials is 1.7 points.
  expect(covered / 300).toBeGreaterThan(0.83);
  expect(covered / 300).toBeLessThan(0.95);
});

test('bootstrapMean() of one value, or of equal values, is that value', () => {
  expect(bootstrapMean([0.5], 1)).toEqual({ value: 0.5, low: 0.5, high: 0.5, count: 1 });
  expect(bootstrapMean([2, 2, 2], 1)).toEqual({ value: 2, low: 2, high: 2, count: 3 });
});

test('bootstrapMean() refuses no values', () => {
  expect(() => bootstrapMean([], 1)).toThrow(DataError);
});

test('meanByPrompt() counts prompts, not samples', () => {
  const one = meanByPrompt(scores(['a', 0, 0], ['b', 1, 1]), 1);
  const four = meanByPrompt(scores(['a', 0, 0, 0, 0, 0, 0, 0, 0], ['b', 1, 1, 1, 1, 1, 1, 1, 1]), 1);
  expect(four).toEqual(one);
  expect(one.count).toBe(2);
});

test('meanDifference() is paired: a shift common to a prompt leaves no spread', () => {
  const theirs = scores(['a', 0], ['b', 10], ['c', -5]);
  const ours = scores(['c', -4.5], ['a', 0.5], ['b', 10.5]);
  expect(meanDifference(ours, theirs, 1)).toEqual({ value: 0.5, low: 0.5, high: 0.5, count: 3 });
});

test('winRate() counts a tie as one half', () => {
  const result = winRate(
    scores(['a', 1], ['b', 0], ['c', 2], ['d', 1]),
    scores(['a', 0], ['b', 0], ['c', 3], ['d', 0]),
    1,
  );
  expect(result).toMatchObject({ value: 0.625, wins: 0.5, ties: 0.25, losses: 0.25, count: 4 });
  expect(result.low).toBeLessThan(0.625);
  expect(result.high).toBeGreaterThan(0.625);
});

test('winRate() compares every sample with every sample of the same prompt', () => {
  // 3 > 2, 3 > 0, 1 < 2, 1 > 0: three of four.
  expect(winRate(scores(['a', 3, 1]), scores(['a', 2, 0]), 1).value).toBe(0.75);
});

test('winRate() of a policy against itself is one half', () => {
  const own = scores(['a', 0.3, 0.7, 0.1], ['b', 0.2, 0.2, 0.9]);
  expect(winRate(own, own, 1).value).toBe(0.5);
});

test('winRate() refuses evaluations on different prompts, whichever has more', () => {
  expect(() => winRate(scores(['a', 1]), scores(['b', 1]), 1)).toThrow(/prompt b is in one of them only/);
  expect(() => winRate(scores(['a', 1], ['b', 1]), scores(['a', 1]), 1)).toThrow(/prompt b is in one/);
  expect(() => winRate(scores(['a', 1]), scores(['a', 1], ['b', 1]), 1)).toThrow(/prompt b is in one/);
});

test('klEstimate() comes to the exact KL of two known distributions', () => {
  // pi = (0.7, 0.3), base = (0.5, 0.5): KL = 0.7 ln 1.4 + 0.3 ln 0.6 = 0.0822831
  const rows = Array.from({ length: 1000 }, (_, index): [string, { policy: number; base: number }[]] => {
    const policy = index < 700 ? 0.7 : 0.3; // 1000 draws in exactly the policy's own shares
    return [`${index}`, [{ policy: Math.log(policy), base: Math.log(0.5) }]];
  });
  const { value, low, high } = klEstimate(new Map(rows), 1);
  expect(value).toBeCloseTo(0.0822831, 6); // rounding of the constant above
  expect(low).toBeLessThan(value);
  expect(high).toBeGreaterThan(value);
});

test('histogram() puts the upper end in the last bin and counts what lies outside', () => {
  const { counts, outside } = histogram([0, 0.1, 0.25, 0.5, 1, 1.1, -0.1, Number.NaN], { low: 0, high: 1, bins: 4 });
  expect(counts).toEqual([2, 1, 1, 1]);
  expect(outside).toBe(3);
});

test('distinctShare() tells repetition from variety', () => {
  expect(distinctShare(['the cat sat on a mat'], 2)).toBe(1);
  expect(distinctShare(['the cat the cat the cat'], 2)).toBe(2 / 5);
  expect(distinctShare(['a b', 'a b'], 2)).toBe(0.5);
  expect(distinctShare([''], 2)).toBe(1);
});

test('lengthStatistics() gives mean, median, tail and range', () => {
  expect(lengthStatistics([10, 20, 30, 40, 100])).toEqual({
    mean: 40,
    median: 30,
    p95: expect.closeTo(88, 10), // 40 + 0.8 * 60, rounded

    shortest: 10,
    longest: 100,
  });
});

test('byPrompt() groups in order and refuses arrays that do not match', () => {
  expect([...byPrompt(['a', 'b', 'a'], [1, 2, 3])]).toEqual([
    ['a', [1, 3]],
    ['b', [2]],
  ]);
  expect(() => byPrompt(['a'], [1, 2])).toThrow(DataError);
});
