import fc from 'fast-check';
import { expect, test } from 'vitest';
import { differences } from './difference.ts';

test('marks the words that the other text lacks', () => {
  const pieces = differences('Tom saw a big dog.', 'Tom saw a cat.');
  expect(pieces.filter(({ isOnlyHere }) => isOnlyHere).map(({ text }) => text)).toEqual([' big dog']);
});

test('the pieces are the text, whatever the two texts are', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (text, other) => {
      expect(
        differences(text, other)
          .map((piece) => piece.text)
          .join(''),
      ).toBe(text);
    }),
  );
});

test('equal texts have no mark, and texts too long to compare neither', () => {
  const long = 'word '.repeat(900);
  expect([...differences('a b\nc', 'a b\nc'), ...differences(long, 'x')].some(({ isOnlyHere }) => isOnlyHere)).toBe(
    false,
  );
});
