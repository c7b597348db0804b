/** @file The measurement of exploration against the training that it follows: its cost, and what is left of it in small runs. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { gradientsOfAPair, PASSES_OF_A_GRADIENT, planExploration, scoringsOfAPair } from './explore-plan.ts';

test.each([
  // 64 of 256 pairs of 100 tokens are drawn: training with the term keeps the reference's numbers of all of them.
  [
    { explores: true, trainedPairs: 256 },
    { scored: 64, differentiated: 8 },
  ],
  // The twin scores each pair twice: (0.15 x 3 x 256 - 8 x 3) / 2.
  [
    { explores: false, trainedPairs: 256 },
    { scored: 45, differentiated: 8 },
  ],
  // The run that took three minutes for 35 pairs after three minutes of training on 36.
  [
    { explores: true, trainedPairs: 36 },
    { scored: 10, differentiated: 1 },
  ],
  // One pair is always measured.
  [
    { explores: true, trainedPairs: 2 },
    { scored: 1, differentiated: 1 },
  ],
])('of $trainedPairs trained pairs, with the term: $explores', ({ explores, trainedPairs }, plan) => {
  const drawn = Array.from({ length: Math.min(64, trainedPairs) }, () => 100);
  expect(planExploration(drawn, { trained: 100 * trainedPairs, explores })).toEqual(plan);
});

test('nothing drawn is nothing measured', () => {
  expect(planExploration([], { trained: 1000, explores: true })).toEqual({ scored: 0, differentiated: 0 });
});

test('it costs at most 15 % of the training, beyond the one pair that is always measured', () => {
  const tokens = fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1, maxLength: 80 });
  fc.assert(
    fc.property(tokens, fc.integer({ min: 1, max: 1_000_000 }), fc.boolean(), (drawn, trained, explores) => {
      const { scored, differentiated } = planExploration(drawn, { trained, explores });
      const sum = (count: number): number => drawn.slice(0, count).reduce((total, each) => total + each, 0);
      const first = drawn[0] ?? 0;
      const cost =
        sum(scored) * scoringsOfAPair({ explores }) +
        sum(differentiated) * gradientsOfAPair({ explores }) * PASSES_OF_A_GRADIENT;
      const one = first * (scoringsOfAPair({ explores }) + gradientsOfAPair({ explores }) * PASSES_OF_A_GRADIENT);
      expect(cost).toBeLessThanOrEqual(
        Math.max(one, 0.15 * PASSES_OF_A_GRADIENT * trained + scoringsOfAPair({ explores }) * sum(differentiated)),
      );
      expect(differentiated).toBeLessThanOrEqual(scored);
    }),
  );
});
