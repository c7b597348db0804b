import { expect, test } from 'vitest';
import { normalAt, randomKey, uniformAt } from '../random.ts';
import { agreementOf, cohensKappa, gwetsAc1, percentAgreement, pooledShare, preferenceTable } from './agreement.ts';

// What R's irrCAC (by Gwet himself) prints for its data set cont3x3abstractors, to seven decimals: the package's vignette
// "Calculating Chance-corrected Agreement Coefficients", https://cran.r-project.org/package=irrCAC.
test('kappa and AC1 of cont3x3abstractors are those of irrCAC', () => {
  const table = [
    [13, 0, 0],
    [0, 20, 7],
    [0, 4, 56],
  ];
  expect(percentAgreement(table)).toBe(0.89);
  expect(Math.abs(cohensKappa(table) - 0.7964094)).toBeLessThan(5e-8);
  expect(Math.abs(gwetsAc1(table) - 0.8493305)).toBeLessThan(5e-8);
});

// Worked by hand from the published formulas, in fractions.
test.each([
  // p_o = 35/50; p_e = 1/2 * 3/5 + 1/2 * 2/5 = 1/2; the example of many textbooks. AC1: pi = 11/20, p_e = 2 * 11/20 * 9/20.
  [
    'two raters of fifty proposals',
    [
      [20, 5],
      [10, 15],
    ],
    0.4,
    (0.7 - 0.495) / (1 - 0.495),
  ],
  // Nearly all in one category: p_o = 118/125; kappa's p_e = (123 * 120 + 2 * 5) / 125^2, AC1's 2 * 0.972 * 0.028.
  [
    'a rare category',
    [
      [118, 5],
      [2, 0],
    ],
    (118 / 125 - 14770 / 15625) / (1 - 14770 / 15625),
    (118 / 125 - 0.054432) / (1 - 0.054432),
  ],
  [
    'agreement throughout',
    [
      [7, 0, 0],
      [0, 5, 0],
      [0, 0, 2],
    ],
    1,
    1,
  ],
])('kappa and AC1 of %s', (_, table, kappa, ac1) => {
  expect(cohensKappa(table)).toBeCloseTo(kappa, 12);
  expect(gwetsAc1(table)).toBeCloseTo(ac1, 12);
});

test('kappa is not defined where one category is all that was used, AC1 is', () => {
  const table = [
    [9, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
  ];
  expect(cohensKappa(table)).toBeNaN();
  expect(gwetsAc1(table)).toBe(1);
  expect(agreementOf([table], 1)).toMatchObject({ percent: { value: 1 }, comparisons: 9 });
});

test('preferenceTable() counts for each pair what both rankers say of it', () => {
  // Ours: 0 best, then 1 and 2 together. Theirs: 1, then 0, then 2.
  const table = preferenceTable(
    [
      [0, 1],
      [0, 2],
      [1, 2],
    ],
    [0, 1, 1],
    [1, 0, 2],
  );
  expect(table).toEqual([
    [1, 0, 1], // ours first better: they agree on (0, 2) and not on (0, 1)
    [1, 0, 0], // ours tie: (1, 2)
    [0, 0, 0],
  ]);
});

test('agreementOf() pools prompts, and its interval covers the truth in 95 of 100 data sets', () => {
  const tables = [
    [
      [2, 0, 1],
      [0, 0, 0],
      [0, 0, 0],
    ],
    [
      [0, 0, 0],
      [0, 1, 0],
      [1, 0, 1],
    ],
    [
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
    ],
  ];
  expect(agreementOf(tables, 1)).toMatchObject({ percent: { value: 4 / 6, count: 2 }, comparisons: 6 });
  expect(agreementOf([], 1)).toBeNull();

  // Three comparisons a prompt that agree or not together (clusters): truth is 0.7.
  let covered = 0;
  for (let set = 0; set < 100; set++) {
    const key = randomKey(set, 'coverage');
    const made = Array.from({ length: 60 }, (_, i) =>
      uniformAt(key, i) < 0.7
        ? [
            [3, 0, 0],
            [0, 0, 0],
            [0, 0, 0],
          ]
        : [
            [0, 0, 3],
            [0, 0, 0],
            [0, 0, 0],
          ],
    );
    const { percent } = agreementOf(made, set, { resamples: 200 }) ?? { percent: { low: 1, high: 0 } };
    if (percent.low <= 0.7 && 0.7 <= percent.high) covered += 1;
  }
  // 95 expected, standard deviation 2.2: 86 is four of them.
  expect(covered).toBeGreaterThanOrEqual(86);
});

test('two rankers that draw their verdicts apart have kappa and AC1 near 0, whatever their percentage', () => {
  const key = randomKey(3, 'apart');
  const tables = Array.from({ length: 400 }, (_, i) => {
    const ours = [0, 1].map((j) => normalAt(key, 4 * i + j));
    const theirs = [0, 1].map((j) => normalAt(key, 4 * i + 2 + j));
    return preferenceTable([[0, 1]], ours, theirs);
  });
  const agreement = agreementOf(tables, 1);
  // Four hundred comparisons: standard error 0.05.
  expect(Math.abs(agreement?.kappa.value ?? 1)).toBeLessThan(0.2);
  expect(Math.abs((agreement?.percent.value ?? 0) - 0.5)).toBeLessThan(0.1);
});

test('pooledShare() is a share of the sums with its interval over prompts', () => {
  const share = pooledShare(
    [
      { count: 3, of: 3 },
      { count: 0, of: 1 },
      { count: 0, of: 0 },
    ],
    1,
  );
  expect(share).toMatchObject({ value: 0.75, low: 0, high: 1, count: 2 });
  expect(pooledShare([], 1)).toBeNull();
});
