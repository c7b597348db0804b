/** @file Where each weight and each rank's slice lies. */
import { expect, it } from 'vitest';
import { smallConfig } from '../../test/support/small-model.ts';
import { expectedWeights } from '../model/weights.ts';
import { layoutUnits, piecesOf } from './layout.ts';

const shapes = expectedWeights(smallConfig({ attention_bias: true }));

it('has a unit for the ends and one for each block, matrices apart from vectors', () => {
  expect(layoutUnits(shapes, 2).map(({ unit, flats }) => [unit, flats.map(({ name }) => name)])).toEqual([
    ['ends', ['ends matrices', 'ends vectors']],
    [0, ['block 0 matrices', 'block 0 vectors']],
    [1, ['block 1 matrices', 'block 1 vectors']],
  ]);
});

it.each([1, 2, 3, 7])('over %i ranks every element of every weight is in one slice, once and in order', (size) => {
  const seen = new Map<string, number>();
  for (const { flats } of layoutUnits(shapes, size)) {
    for (const flat of flats) {
      expect(flat.length % size).toBe(0);
      for (let rank = 0; rank < size; rank++) {
        for (const { name, inWeight, inSlice, count } of piecesOf(flat, { rank, size })) {
          expect(inWeight, name).toBe(seen.get(name) ?? 0);
          expect(inSlice + count).toBeLessThanOrEqual(flat.length / size);
          seen.set(name, inWeight + count);
        }
      }
    }
  }
  const sizes = [...shapes].map(([name, shape]) => [name, shape.reduce((product, length) => product * length, 1)]);
  expect(Object.fromEntries(seen)).toEqual(Object.fromEntries(sizes));
});
