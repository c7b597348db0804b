import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { readResultFile } from '../records.ts';
import { type Annotation, readAnnotations } from './annotations.ts';
import { type FittedModel, fitModel, rateMatrix, rateOver } from './fitted-model.ts';
import { lengthControlledWinRate, type SharedFacts } from './length-controlled.ts';
import { readSharedFacts } from './shared-facts.ts';

const fixtures = fileURLToPath(new URL('../../../test/fixtures/evaluate/alpaca', import.meta.url));

async function annotationsOf(name: string): Promise<Annotation[]> {
  const file = join(fixtures, `${name}.csv`);
  return readAnnotations(await readResultFile(file), file).usable;
}

let shared: SharedFacts;
let annotations: { strong: Annotation[]; weak: Annotation[] };
let strong: FittedModel;
let weak: FittedModel;
beforeAll(async () => {
  const file = join(fixtures, 'df_gamed.csv');
  shared = readSharedFacts(await readResultFile(file), file);
  annotations = { strong: await annotationsOf('strong'), weak: await annotationsOf('weak') };
  [strong, weak] = [fitModel(annotations.strong, shared), fitModel(annotations.weak, shared)];
});

it("a model's rate over the baseline is the leaderboard's, as a share, inside of its interval", () => {
  const { rate, c } = lengthControlledWinRate(annotations.strong, shared);
  const found = rateOver([{ model: strong, against: null }]);
  expect(strong.c).toBe(c);
  expect(found?.value).toBeCloseTo(rate / 100, 12);
  expect(found?.low).toBeLessThan(rate / 100);
  expect(found?.high).toBeGreaterThan(rate / 100);
  expect(found?.count).toBe(annotations.strong.length);
});

it('rates of two models over each other sum to 1 exactly, with the interval turned round', () => {
  const [[, there] = [], [back] = []] = rateMatrix(2, () => rateOver([{ model: strong, against: weak }]));
  expect((there?.value ?? 0) + (back?.value ?? 0)).toBe(1);
  expect([1 - (there?.high ?? 0), 1 - (there?.low ?? 0)]).toEqual([back?.low, back?.high]);
  expect(there?.value).toBeGreaterThan(0.5);
});

it('a model over itself is one half without any doubt: both have the same weight in every draw', () => {
  expect(rateOver([{ model: strong, against: strong }])).toEqual({
    value: 0.5,
    low: 0.5,
    high: 0.5,
    count: annotations.strong.length,
  });
});

it('only instructions that both were judged on count, and none is no rate', () => {
  const [first, second] = [annotations.weak.slice(0, 80), annotations.weak.slice(80)];
  const [early, late] = [fitModel(first, shared), fitModel(second, shared)];
  expect(rateOver([{ model: strong, against: early }])?.count).toBe(80);
  expect(rateOver([{ model: early, against: late }])).toBeNull();
});

it('the interval has the width of the standard error of a fit, and more instructions make it narrower', () => {
  // By the delta method: 1.96 standard errors of the logit to either side, sqrt(1 / (n p (1 - p))) where length and difficulty say nothing.
  const found = rateOver([{ model: strong, against: null }]);
  const { value = 0, low = 0, high = 0, count = 0 } = found ?? {};
  const plain = (2 * 1.96 * Math.sqrt(value * (1 - value))) / Math.sqrt(count);
  // Verdicts are probabilities, not coins, so that they vary less; and three coefficients are fitted, so that the rate varies more.
  expect((high - low) / plain).toBeGreaterThan(0.4);
  expect((high - low) / plain).toBeLessThan(1.4);
  const half = rateOver([{ model: fitModel(annotations.strong.slice(0, 60), shared), against: null }]);
  expect((half?.high ?? 0) - (half?.low ?? 0)).toBeGreaterThan(high - low);
});

it('over several seeds it is the mean, and their doubts are averaged draw by draw', () => {
  const [one, other] = [
    { model: strong, against: weak },
    { model: weak, against: strong },
  ];
  const found = rateOver([one, other]);
  // What one wins in a draw the other loses in it. 1e-12: two sums of 120 shares.
  expect(found?.value).toBeCloseTo(0.5, 12);
  expect((found?.high ?? 1) - (found?.low ?? 0)).toBeLessThan(1e-12);
});
