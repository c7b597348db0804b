/** @file The information matrix against determinants of whole matrices by numpy (scripts/fixtures/information.py). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { addComparison, byInformation, informationOf, mostInformative, noInformation } from './information.ts';

const file = new URL('../../test/fixtures/selection/information.json', import.meta.url);
const golden = JSON.parse(readFileSync(file, 'utf8')) as {
  width: number;
  features: number[];
  known: [number, number][];
  questions: [number, number][][];
  picked: { question: number; pair: [number, number]; nats: number }[];
};

const described = { width: golden.width, features: Float64Array.from(golden.features) };

function informationOfKnown() {
  const information = noInformation(described);
  for (const pair of golden.known) addComparison(information, described, pair);
  return information;
}

describe('byInformation()', () => {
  it('picks what numpy picks by determinants, with the same gains', () => {
    const picked = byInformation(informationOfKnown(), described, golden.questions);
    expect(picked.map(({ question, pair }) => ({ question, pair }))).toEqual(
      golden.picked.map(({ question, pair }) => ({ question, pair })),
    );
    // Two ways to compute a logarithm of determinants near 1, float64.
    for (const [at, { nats }] of picked.entries()) expect(nats).toBeCloseTo(golden.picked[at]?.nats ?? Number.NaN, 12);
  });

  it('asks every question once', () => {
    const picked = byInformation(noInformation(described), described, golden.questions);
    expect(picked.map(({ question }) => question).toSorted()).toEqual([0, 1, 2, 3]);
  });
});

it('a comparison that was made tells less when it is made again', () => {
  const information = noInformation(described);
  const first = informationOf(information, described, [8, 11]);
  addComparison(information, described, [8, 11]);
  expect(informationOf(information, described, [8, 11])).toBeLessThan(first);
});

it('mostInformative() of an unknown reward are the two answers that lie farthest apart', () => {
  const line = { width: 1, features: Float64Array.of(0, 5, -1, 2) };
  expect(mostInformative(noInformation(line), line, [0, 1, 2, 3]).pair).toEqual([1, 2]);
});
