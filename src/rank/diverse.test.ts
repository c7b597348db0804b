import { expect, it } from 'vitest';
import { diversePair } from './diverse.ts';

it('diversePair() takes the rarest of the better half and the commonest of the worse', () => {
  expect(diversePair([3, 1, 0, 2], [-5, -9, -1, -2])).toEqual([1, 2]);
  expect(diversePair([1, 0], [-1, -9])).toEqual([1, 0]);
  expect(diversePair([2, 1, 0], [-1, -7, -3])).toEqual([1, 0]);
});
