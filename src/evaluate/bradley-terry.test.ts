import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { bradleyTerry, type Match, ratingsOf } from './bradley-terry.ts';

interface Case {
  name: string;
  contenders: number;
  prior: number;
  matches: Match[];
  strengths: number[];
  errors: number[];
}

const file = new URL('../../test/fixtures/people/bradley-terry.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Case[] };

it.each(cases)(
  'scipy finds the same strengths and errors: $name',
  ({ contenders, prior, matches, strengths, errors }) => {
    const found = bradleyTerry(contenders, matches, { prior });
    for (const [i, { value, low, high }] of found.entries()) {
      // scipy's BFGS stops at a gradient of 1e-11 or where its line search finds no better point.
      expect(value).toBeCloseTo(strengths[i] ?? Number.NaN, 6);
      expect((high - low) / 2 / 1.959963984540054).toBeCloseTo(errors[i] ?? Number.NaN, 5);
    }
  },
);

it('odds of ten to one are 400 points apart, and the mean is 1000', () => {
  const matches = Array.from({ length: 1100 }, (_, n): Match => ({ first: 0, second: 1, won: n < 1000 ? 1 : 0 }));
  const [strong, weak] = ratingsOf(bradleyTerry(2, matches, { prior: 1e-9 }));
  expect((strong?.value ?? 0) - (weak?.value ?? 0)).toBeCloseTo(400, 3);
  expect(((strong?.value ?? 0) + (weak?.value ?? 0)) / 2).toBeCloseTo(1000, 6);
});

it('without a match all are alike, and nothing is known of them', () => {
  const [first, second] = bradleyTerry(2, []);
  expect([first?.value, second?.value]).toEqual([0, 0]);
  expect(first?.high).toBeGreaterThan(4);
});
