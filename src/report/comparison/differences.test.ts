/** @file Arms on benchmarks: what is paired with what, when there is a winner, and what a sentence says. */
import { describe, expect, it } from 'vitest';
import { holm, mcnemarTest } from '../../evaluate/paired-tests.ts';
import type { BenchmarkScores } from '../../store/benchmark-scores.ts';
import { comparisonMarkdown, comparisonVerdicts } from './comparison.ts';
import type { ComparedArm } from './comparison-data.ts';
import { armOf, comparisonOf, runOf, scoresOf } from './comparison-fixture.testing.ts';
import { benchmarkComparisons } from './differences.ts';
import { benchmarkSentence } from './sentences.ts';

const rewards = Array.from({ length: 30 }, (_, i) => 0.1 * (i % 5));

/** Right (1) on the first `right` of `count` items. */
const answers = (right: number, count = 60): number[] => Array.from({ length: count }, (_, i) => (i < right ? 1 : 0));

/** An arm with one run a seed, which was measured on benchmarks after iteration 1. */
function measuredArm(name: string, bySeed: readonly BenchmarkScores[][]): ComparedArm {
  const runs = bySeed.map((scores, index) =>
    runOf(index + 1, { base: rewards, last: rewards, benchmarks: [{ iteration: 1, scores }] }),
  );
  return armOf(name, runs);
}

const gsm8k = (values: readonly number[], changes: Partial<BenchmarkScores> = {}): BenchmarkScores => ({
  ...scoresOf('gsm8k', values),
  ...changes,
});

describe('two arms on a benchmark', () => {
  it('are compared item by item, by the exact test of McNemar', () => {
    const arms = [measuredArm('dpo', [[gsm8k(answers(20))]]), measuredArm('selm', [[gsm8k(answers(35))]])];
    const [found] = benchmarkComparisons(comparisonOf(arms));
    expect(found).toMatchObject({ title: 'GSM8K', arm: 'selm', baseline: 'dpo', better: 15, worse: 0, side: 'above' });
    expect(found?.difference).toMatchObject({ value: 0.25, count: 60 });
    expect(found?.p).toBe(mcnemarTest([...answers(15, 15), ...new Array<number>(45).fill(0)]));
  });

  it('are corrected by Holm for all arms and benchmarks together', () => {
    const arm = (name: string, gsm: number, arc: number) =>
      measuredArm(name, [[gsm8k(answers(gsm)), scoresOf('arc_challenge', answers(arc))]]);
    const found = benchmarkComparisons(comparisonOf([arm('dpo', 20, 20), arm('a', 26, 21), arm('b', 28, 20)]));
    expect(found.map(({ arm: name, title }) => `${name} ${title}`)).toEqual([
      'a GSM8K',
      'b GSM8K',
      'a ARC_CHALLENGE',
      'b ARC_CHALLENGE',
    ]);
    expect(found.map(({ pCorrected }) => pCorrected)).toEqual(holm(found.map(({ p }) => p)));
  });

  it('take the mean of an item over the seeds, and need the seeds to agree as well', () => {
    const dpo = measuredArm('dpo', [[gsm8k(answers(20))], [gsm8k(answers(40))], [gsm8k(answers(20))]]);
    const selm = measuredArm('selm', [[gsm8k(answers(40))], [gsm8k(answers(40))], [gsm8k(answers(20))]]);
    const [found] = benchmarkComparisons(comparisonOf([dpo, selm]));
    expect(found?.bySeed.map(({ difference }) => Number(difference.toFixed(4)))).toEqual([0.3333, 0, 0]);
    expect(found?.pPrompts).toBeLessThan(0.001);
    // Student's test of 1/3, 0, 0: t = 1 with 2 degrees of freedom.
    expect(found?.p).toBeCloseTo(0.42265, 5);
    expect(found?.side).toBe('undecided');
  });

  it('are compared on the items that both have, and not at all on other rows or by another judge', () => {
    const later = { lines: Array.from({ length: 60 }, (_, i) => i + 31) };
    const of = (changes: Partial<BenchmarkScores>) =>
      benchmarkComparisons(
        comparisonOf([
          measuredArm('dpo', [[gsm8k(answers(20), { basis: 'these' })]]),
          measuredArm('selm', [[gsm8k(answers(35), { basis: 'these', ...changes })]]),
        ]),
      );
    expect(of(later)[0]?.difference.count).toBe(30);
    expect(of({ basis: 'others' })).toEqual([]);
  });

  it('have no winner below 20 items, however clear it looks', () => {
    const arms = [measuredArm('dpo', [[gsm8k(answers(0, 19))]]), measuredArm('selm', [[gsm8k(answers(19, 19))]])];
    const [found] = benchmarkComparisons(comparisonOf(arms));
    expect(found?.side).toBe('too few');
    expect(found === undefined ? '' : benchmarkSentence(found, 1)).toMatch(
      /^On GSM8K, too few items to say whether selm is better than dpo: 19 items, and 20 are needed; .*\[.*\]\.$/,
    );
    expect(comparisonVerdicts(comparisonOf(arms)).join()).not.toContain('GSM8K');
  });
});

it('a winner is told with n, interval and corrected p; AlpacaEval and MT-Bench are compared as benchmarks are', () => {
  const judged = (share: number, rating: number): BenchmarkScores[] => [
    {
      ...scoresOf('alpaca_eval', rewards),
      title: 'AlpacaEval',
      mainMetric: 'win_rate',
      scores: { win_rate: rewards.map((each, i) => each + share * (1 + (i % 3))) },
    },
    {
      ...scoresOf('mt_bench', rewards),
      title: 'MT-Bench',
      mainMetric: 'average',
      scores: { average: rewards.map((each) => each + rating) },
    },
  ];
  const data = comparisonOf([measuredArm('dpo', [judged(0, 5)]), measuredArm('selm', [judged(0.1, 5)])]);
  expect(comparisonVerdicts(data).filter((line) => line.startsWith('On '))).toEqual([
    expect.stringMatching(
      /^On AlpacaEval, the model of selm is better than that of dpo: difference in win_rate \+0\.200 \[\+0\.\d+, \+0\.\d+\], paired by 30 items and one seed; p < 0\.001 corrected for 2 comparisons of benchmarks\.$/,
    ),
  ]);
  const text = comparisonMarkdown(data);
  expect(text).toContain(
    '| MT-Bench (average) | selm | 0.000 [0.000, 0.000] (n = 30 items) | 0 · 0 | 1.000 | 1.000 | no winner |',
  );
});
