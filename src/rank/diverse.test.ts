/** @file DivPO's pair against numpy (scripts/fixtures/selection.py). */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { diversePair } from './diverse.ts';

const file = new URL('../../test/fixtures/selection/picks.json', import.meta.url);
const { diverse } = JSON.parse(readFileSync(file, 'utf8')) as {
  diverse: { ranked: number[]; logProbs: number[]; pair: [number, number] }[];
};

it('diversePair() takes the rarest of the better half and the commonest of the worse', () => {
  expect(diversePair([3, 1, 0, 2], [-5, -9, -1, -2])).toEqual([1, 2]);
  expect(diversePair([1, 0], [-1, -9])).toEqual([1, 0]);
  expect(diversePair([2, 1, 0], [-1, -7, -3])).toEqual([1, 0]);
});

it.each(diverse)('diversePair() of $ranked is what numpy says', ({ ranked, logProbs, pair }) => {
  expect(diversePair(ranked, logProbs)).toEqual(pair);
});
