/** @file Tests of paired differences against scipy (scripts/fixtures/paired_tests.py), and Holm's correction by hand. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { holm, mcnemarTest, signFlipTest, studentQuantile, studentTest } from './paired-tests.ts';

const fixture = JSON.parse(
  readFileSync(join(packageRoot, 'test', 'fixtures', 'evaluate', 'paired-tests.json'), 'utf8'),
) as {
  cases: { differences: number[]; student: { p: number; low: number; high: number }; signFlip: number }[];
  many: { differences: number[]; signFlip: number };
  quantiles: { probability: number; freedom: number; t: number }[];
};

it.each(fixture.cases)("studentTest() has scipy's p and interval for $differences", ({ differences, student }) => {
  const found = studentTest(differences);
  // Both are series in double precision.
  for (const name of ['p', 'low', 'high'] as const) expect(found?.[name]).toBeCloseTo(student[name], 10);
});

it.each(fixture.quantiles)('studentQuantile($probability, $freedom) is scipy’s', ({ probability, freedom, t }) => {
  expect(Math.abs(studentQuantile(probability, freedom) / t - 1)).toBeLessThan(1e-9);
});

it.each(fixture.cases)('signFlipTest() is exact for few: $differences', ({ differences, signFlip }) => {
  expect(signFlipTest(differences, 1)).toBeCloseTo(signFlip, 12);
});

it('signFlipTest() draws patterns for many, within their own error of a million of them', () => {
  const { differences, signFlip } = fixture.many;
  const error = Math.sqrt((signFlip * (1 - signFlip)) / 9999);
  expect(Math.abs(signFlipTest(differences, 1) - signFlip)).toBeLessThan(4 * error);
  expect(signFlipTest(differences, 1)).toBe(signFlipTest(differences, 1));
});

it('signFlipTest() finds nothing in no differences and in zeros', () => {
  expect([signFlipTest([], 1), signFlipTest([0, 0, 0], 1)]).toEqual([1, 1]);
});

it('studentTest() says nothing of one difference', () => {
  expect(studentTest([0.3])).toBeNull();
});

it('holm() multiplies the smallest by the number of tests, the next by one less, and never falls', () => {
  expect(holm([0.04, 0.01, 0.03, 0.5])).toEqual([0.09, 0.04, 0.09, 0.5]);
  expect(holm([0.6, 0.6])).toEqual([1, 1]);
});

it("mcnemarTest() is the binomial test of the items that differ, and the sign-flip test's value for them", () => {
  const differences = [...new Array<number>(10).fill(1), -1, -1, ...new Array<number>(300).fill(0)];
  // scipy.stats.binomtest(2, 12).pvalue
  expect(mcnemarTest(differences)).toBeCloseTo(0.03857421875, 12);
  expect(signFlipTest(differences, 1)).toBe(mcnemarTest(differences));
  const few = [0.5, -0.5, 0.5, 0.5];
  expect(mcnemarTest(few)).toBeCloseTo(10 / 16, 12);
  expect(mcnemarTest([0, 0])).toBe(1);
  expect(mcnemarTest([1, 0.5])).toBeNull();
});
