import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { diversityOf, selfBleus } from './diversity.ts';

const file = new URL('../../test/fixtures/evaluate/diversity.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as {
  cases: { texts: string[]; distinct: number[]; selfBleus: number[] }[];
};

test.each(cases)('distinct-n and Self-BLEU are those of their definitions, restated in Python: $texts', (expected) => {
  const { texts } = expected;
  // Sums of at most four logarithms.
  for (const [i, bleu] of selfBleus(texts).entries())
    expect(Math.abs(bleu - (expected.selfBleus[i] ?? Number.NaN))).toBeLessThan(1e-14);
  for (const [i, share] of diversityOf(texts).distinct.entries()) expect(share).toBe(expected.distinct[i]);
});

test('equal texts have Self-BLEU 1, texts without a common word 0', () => {
  expect(diversityOf(['a b c d e', 'a b c d e', 'a b c d e']).selfBleu).toBeCloseTo(1, 14);
  expect(diversityOf(['a b c d e', 'f g h i j']).selfBleu).toBe(0);
});

test('a single text has no Self-BLEU', () => {
  expect(diversityOf(['a b']).selfBleu).toBeNull();
});
