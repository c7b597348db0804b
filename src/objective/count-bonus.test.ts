import { expect, it } from 'vitest';
import { countTerm } from './count-bonus.ts';

it("countTerm() is COPO's: -alpha min(5, pi / pi_ref) log pi / sqrt(n), its weight held constant", () => {
  // alpha 0.2, ratio e^0.5 = 1.6487212707, n = 4: weight 0.2 * 1.6487212707 / 2 = 0.16487212707.
  const { loss, gradient } = countTerm({ policy: -2, reference: -2.5, visits: 4 }, 0.2);
  expect(gradient).toBeCloseTo(-0.16487212707, 10);
  expect(loss).toBeCloseTo(0.32974425414, 10);
  expect(countTerm({ policy: -1, reference: -50, visits: 1 }, 0.2).gradient).toBeCloseTo(-1, 12); // clipped at 5
  expect(countTerm({ policy: -1, reference: -1, visits: 1 }, 0)).toEqual({ loss: 0, gradient: 0 });
});
