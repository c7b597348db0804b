import fc from 'fast-check';
import { expect, test } from 'vitest';
import { editDistance, nearest } from './nearest.ts';

const keys = ['learningRate', 'batchSize', 'beta', 'warmupRatio', 'seed'];

test.each([
  ['learning_rate', 'learningRate'],
  ['learning-rate', 'learningRate'],
  ['LEARNINGRATE', 'learningRate'],
  ['leaningRate', 'learningRate'],
  ['learnignRate', 'learningRate'],
  ['batch', null],
  ['bata', 'beta'],
  ['sede', 'seed'],
  ['temperature', null],
  ['', null],
  ['x'.repeat(10_000), null],
])('nearest() takes %s for %s', (word, expected) => {
  expect(nearest(word, keys)).toBe(expected);
});

test('editDistance() is a distance: zero for equals only, symmetric, at most the longer length', () => {
  const word = fc.string({ maxLength: 12 });
  fc.assert(
    fc.property(word, word, (a, b) => {
      const distance = editDistance(a, b);
      expect(distance === 0).toBe(a === b);
      expect(editDistance(b, a)).toBe(distance);
      expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
      expect(distance).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
    }),
    { seed: 5 },
  );
});

test('editDistance() counts insertions, deletions, replacements and swaps', () => {
  expect(editDistance('kitten', 'sitting')).toBe(3);
  expect(editDistance('ab', 'ba')).toBe(1);
  expect(editDistance('', 'abc')).toBe(3);
  expect(editDistance('x'.repeat(100), 'x'.repeat(100))).toBe(0);
});
