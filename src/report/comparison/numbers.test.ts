/** @file The numbers of a comparison: what is averaged over what, what is paired with what, and when there is a winner. */
import { expect, it } from 'vitest';
import { holm, signFlipTest, studentTest } from '../../evaluate/paired-tests.ts';
import { armOf, comparisonOf, runOf, scoresOf } from './comparison-fixture.testing.ts';
import { armComparisons } from './differences.ts';
import { benchmarkRows, modelNumbers } from './numbers.ts';
import { comparisonSentence } from './sentences.ts';

/** Rewards of `count` prompts around a mean, of a pattern that is the same for every call. */
const around = (mean: number, count = 40): number[] =>
  Array.from({ length: count }, (_, i) => mean + 0.05 * Math.sin(7 * i));

it('averages a model over its seeds by prompt, and gives every number its n', () => {
  const arm = armOf('a', [runOf(1, { base: [0, 0], last: [1, 0] }), runOf(2, { base: [0, 0], last: [0, 0.5] })]);
  const [base, trained] = modelNumbers(comparisonOf([arm]));
  expect(base).toMatchObject({ arm: null, iteration: 0, seeds: 2, winRate: null, reward: { value: 0, count: 2 } });
  expect(trained).toMatchObject({ seeds: 2, reward: { value: 0.375, count: 2, bySeed: [0.5, 0.25] } });
  // Wins 1 of 2 with a tie of 2 in each seed: (1 + 0.5) / 2.
  expect(trained?.winRate).toMatchObject({ value: 0.75, bySeed: [0.75, 0.75], count: 2 });
});

it('counts a base once a seed, however many arms began from it', () => {
  const base = around(0.2);
  const arms = ['a', 'b'].map((name) =>
    armOf(
      name,
      [1, 2].map((seed) => runOf(seed, { base, last: around(0.3) })),
    ),
  );
  expect(modelNumbers(comparisonOf(arms)).filter(({ arm }) => arm === null)).toMatchObject([{ seeds: 2 }]);
});

it('pairs arms by prompt and by seed: what both share does not count', () => {
  const base = around(0.2);
  const shift = (values: number[], by: number): number[] => values.map((value) => value + by);
  const runs = (gain: number) =>
    [1, 2, 3].map((seed) => runOf(seed, { base, last: shift(around(0.3), 0.1 * seed + gain) }));
  const [comparison] = armComparisons(comparisonOf([armOf('zero', runs(0)), armOf('some', runs(0.02))]));
  expect(comparison?.difference.value).toBeCloseTo(0.02, 12);
  expect(comparison?.difference.high).toBeCloseTo(0.02, 12);
  expect(comparison?.bySeed.map(({ seed }) => seed)).toEqual([1, 2, 3]);
  expect(comparison?.winRate.value).toBe(1);
  expect(comparison?.side).toBe('above');
});

it('has the p-values of the tests, the larger of the two corrected for the number of arms', () => {
  const base = around(0.2, 30);
  const gains = { b: [0.01, 0.03, 0.02], c: [0.05, -0.02, 0.01] };
  const arm = (name: string, gain: readonly number[]) =>
    armOf(
      name,
      gain.map((value, index) =>
        runOf(index + 1, { base, last: base.map((reward, i) => reward + value * (i % 3 === 0 ? -1 : 2)) }),
      ),
    );
  const found = armComparisons(comparisonOf([arm('a', [0, 0, 0]), arm('b', gains.b), arm('c', gains.c)]));
  const seedMeans = (name: 'b' | 'c') => gains[name].map((gain) => gain * ((20 * 2 - 10) / 30));
  const expected = (['b', 'c'] as const).map((name) => studentTest(seedMeans(name))?.p ?? 1);
  found.forEach((comparison, index) => {
    expect(comparison.overSeeds?.p).toBeCloseTo(expected[index] ?? 1, 9);
    expect(comparison.pSeedsExact).toBe(signFlipTest(seedMeans(index === 0 ? 'b' : 'c'), 1));
    expect(comparison.p).toBe(Math.max(comparison.pPrompts, comparison.overSeeds?.p ?? 0));
  });
  expect(found.map(({ pCorrected }) => pCorrected)).toEqual(holm(found.map(({ p }) => p)));
});

it('names no winner where seeds disagree, however many prompts agree', () => {
  const base = around(0.2, 200);
  const runs = (gains: number[]) =>
    gains.map((gain, i) => runOf(i + 1, { base, last: base.map((reward) => reward + gain) }));
  const [comparison] = armComparisons(comparisonOf([armOf('a', runs([0, 0])), armOf('b', runs([0.2, -0.1]))]));
  expect(comparison?.pPrompts).toBeLessThan(0.001);
  expect(comparison?.side).toBe('undecided');
});

it('names no winner of fewer than 20 prompts, and says how many there are', () => {
  const base = around(0.2, 19);
  const arm = (name: string, gain: number) =>
    armOf(name, [runOf(1, { base, last: base.map((reward) => reward + gain) })]);
  const [comparison] = armComparisons(comparisonOf([arm('a', 0), arm('b', 0.3)]));
  expect(comparison?.side).toBe('too few');
  expect(comparison && comparisonSentence(comparison, 1)).toMatch(/^Too few prompts .* 19 prompts, and 20 are needed/);
});

it('says of one seed that it is of these models, and pairs single runs of different seeds by prompt', () => {
  const base = around(0.2);
  const data = comparisonOf([
    armOf('a', [runOf(1, { base, last: around(0.2) })]),
    armOf('b', [runOf(2, { base, last: around(0.4) })]),
  ]);
  const [comparison] = armComparisons(data);
  expect(comparison).toMatchObject({ side: 'above', overSeeds: null, bySeed: [{ seed: null }] });
  expect(comparison && comparisonSentence(comparison, 1)).toMatch(
    /^The model of b is better than that of a: .* paired by 40 prompts of two runs of different seeds; p < 0\.001\. One seed says nothing of others\.$/,
  );
});

it('averages benchmarks over seeds by item and pairs them with the base by item', () => {
  const run = (seed: number, base: number[], last: number[]) =>
    runOf(seed, {
      base: around(0.2),
      last: around(0.3),
      benchmarks: [
        { iteration: 0, scores: [scoresOf('arc', base)] },
        { iteration: 1, scores: [scoresOf('arc', last)] },
      ],
    });
  const arm = armOf('a', [run(1, [0, 0, 1, 1], [0, 1, 1, 1]), run(2, [0, 0, 1, 1], [1, 1, 1, 1])]);
  const rows = benchmarkRows(comparisonOf([arm]));
  expect(rows.map(({ label, iteration }) => [label, iteration])).toEqual([
    ['base', 0],
    ['a', 1],
  ]);
  expect(rows[1]?.benchmarks[0]).toMatchObject({
    value: { value: 0.875, count: 4 },
    change: { value: 0.375, count: 4 },
  });
});
