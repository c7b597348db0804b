import { expect, test } from 'vitest';
import { cohensKappa, gwetsAc1 } from './agreement.ts';
import { raterAgreement } from './raters.ts';

// Four raters of twelve units, some missing: the nominal example of Krippendorff 2011, "Computing Krippendorff's
// Alpha-Reliability", and data set cac.raw4raters of R's irrCAC, by Gwet.
const RATERS = [
  [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
  [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
  [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
  [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
];
const items = Array.from({ length: 12 }, (_, unit) =>
  RATERS.flatMap((ratings) => (ratings[unit] === 0 ? [] : [(ratings[unit] ?? 0) - 1])),
);

test('alpha is that of Krippendorff, percent and AC1 are those of irrCAC, to the digits that are printed', () => {
  const found = raterAgreement(items, { categories: 5, seed: 1, resamples: 50 });
  expect(found?.alpha.value).toBeCloseTo(0.743, 3);
  expect(found?.percent.value).toBeCloseTo(0.8181818, 7);
  expect(found?.ac1.value).toBeCloseTo(0.77544, 5);
  expect([found?.items, found?.ratings]).toEqual([11, 40]);
});

test('of two raters of everything AC1 is the one of two raters, and alpha nearly kappa', () => {
  const table = [
    [20, 5],
    [10, 15],
  ];
  const both = table.flatMap((row, i) => row.flatMap((count, j) => Array.from({ length: count }, () => [i, j])));
  const found = raterAgreement(both, { categories: 2, seed: 1 });
  expect(found?.ac1.value).toBeCloseTo(gwetsAc1(table), 12);
  expect(Math.abs((found?.alpha.value ?? 0) - cohensKappa(table))).toBeLessThan(0.02);
  expect(found?.alpha.low).toBeLessThan(found?.alpha.value ?? 0);
  expect(found?.alpha.high).toBeGreaterThan(found?.alpha.value ?? 0);
});

test('there is no agreement where nobody rated what somebody else did, and no alpha where all said the same', () => {
  expect(raterAgreement([[0], [1], []], { categories: 3, seed: 1 })).toBeNull();
  const same = raterAgreement(
    [
      [1, 1],
      [1, 1],
    ],
    { categories: 3, seed: 1 },
  );
  expect([same?.percent.value, same?.ac1.value, same?.alpha.value]).toEqual([1, 1, Number.NaN]);
});
