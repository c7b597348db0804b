import { describe, expect, it } from 'vitest';
import { BONUS_FORMS, bonusTerm } from './exploratory-bonus.ts';

describe("bonusTerm() is GEB's for the reverse KL", () => {
  // pi = 0.2, alpha = 0.5, by hand: 0.5 / 0.20001 = 2.4998750; arctanh(0.79999) = 1.0985845.
  it.each([
    ['linear', 0.1],
    ['inverse', -2.499875006],
    ['arctanh', -0.549292255],
  ] as const)('%s', (form, loss) => {
    expect(bonusTerm(Math.log(0.2), { form, alpha: 0.5 }).loss).toBeCloseTo(loss, 8);
  });

  it.each(BONUS_FORMS)('%s: its derivative is that of its value', (form) => {
    const at = (logProb: number) => bonusTerm(logProb, { form, alpha: 0.5 });
    const [step, logProb] = [1e-6, Math.log(0.03)];
    const slope = (at(logProb + step).loss - at(logProb - step).loss) / (2 * step);
    // Central differences with this step are right to some 1e-9 of the value.
    expect(at(logProb).gradient / slope).toBeCloseTo(1, 6);
  });

  it.each(BONUS_FORMS)(
    '%s pushes down, and does nothing at strength 0 or to what has the probability of a text',
    (form) => {
      expect(bonusTerm(-2, { form, alpha: 0.5 }).gradient).toBeGreaterThan(0);
      expect(bonusTerm(-2, { form, alpha: 0 })).toEqual({ loss: 0, gradient: 0 });
      expect(bonusTerm(-100, { form, alpha: 1 }).gradient).toBeLessThan(1e-30);
    },
  );
});
