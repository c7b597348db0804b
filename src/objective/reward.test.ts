/** @file The reward model's loss: golden values from PyTorch (float64), finite differences, and the limits of the paper's optimism. */
import { describe, expect, it } from 'vitest';
import { comparisonLoss, relativeMaximum } from './reward.ts';

// -logsigmoid(chosen - rejected) and its derivative by chosen, torch 2.15 in float64.
const COMPARISONS = [
  { chosen: 0.3, rejected: -0.2, loss: 0.4740769841801067, slope: -0.37754066879814546 },
  { chosen: -1.5, rejected: 2, loss: 3.5297504182726205, slope: -0.9706877692486436 },
  { chosen: 40, rejected: -40, loss: 1.804851387845415e-35, slope: -1.804851387845415e-35 },
  { chosen: -400, rejected: 400, loss: 800, slope: -1 },
];

// beta (logsumexp(r / beta) - log n) - mean(r) and its gradient, torch 2.15 in float64.
const MAXIMA = [
  {
    rewards: [0.1, -0.4, 1.2, 0.7],
    beta: 1,
    value: 0.1751179481756468,
    gradient: [-0.09454707235431509, -0.15571303324080246, 0.21700640355616974, 0.03325370203894795],
  },
  {
    rewards: [0.1, -0.4, 1.2, 0.7],
    beta: 0.25,
    value: 0.48820905863269454,
    gradient: [-0.23931730990540653, -0.24855425511031923, 0.6201143878832887, -0.13224282286756325],
  },
  {
    rewards: [3, 3, -1],
    beta: 0.5,
    value: 1.1306846379035644,
    gradient: [0.1665828150742289, 0.1665828150742289, -0.3331656301484576],
  },
  { rewards: [500, -500, 0], beta: 0.1, value: 499.89013877113325, gradient: [2 / 3, -1 / 3, -1 / 3] },
];

// Two correct evaluations of a few float64 operations differ by a few units in the last place.
const expectSame = (actual: number, expected: number): void =>
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(
    1e-13 * Math.max(1e-30, Math.abs(expected), Math.abs(actual)) + 1e-300,
  );

describe('comparisonLoss()', () => {
  it.each(COMPARISONS)('of $chosen over $rejected is that of PyTorch', ({ chosen, rejected, loss, slope }) => {
    const term = comparisonLoss({ chosen, rejected });
    expectSame(term.loss, loss);
    expectSame(term.gradient.chosen, slope);
    expect(term.gradient.rejected).toBe(-term.gradient.chosen);
  });

  it('is ln 2 where the rewards are equal', () => {
    expect(comparisonLoss({ chosen: 7, rejected: 7 })).toEqual({
      loss: Math.LN2,
      gradient: { chosen: -0.5, rejected: 0.5 },
    });
  });

  it('refuses a reward that is not finite', () => {
    expect(() => comparisonLoss({ chosen: Number.NaN, rejected: 0 })).toThrow(
      expect.objectContaining({ code: 'OBJECTIVE_INPUT_NOT_FINITE' }),
    );
  });
});

describe('relativeMaximum()', () => {
  it.each(MAXIMA)('of $rewards with beta $beta is that of PyTorch', ({ rewards, beta, value, gradient }) => {
    const found = relativeMaximum(rewards, beta);
    expect(Math.abs(found.value - value)).toBeLessThan(1e-12 * Math.max(1, Math.abs(value)));
    found.gradient.forEach(
      (slope, i) => void expect(Math.abs(slope - (gradient[i] ?? Number.NaN))).toBeLessThan(1e-12),
    );
  });

  it.each([0.2, 1, 5])('has the derivative of its finite differences, beta %d', (beta) => {
    const rewards = [0.4, -1.1, 0.9, 0.85, 0];
    const step = 1e-6;
    const { gradient } = relativeMaximum(rewards, beta);
    rewards.forEach((_, i) => {
      const shifted = (by: number): number =>
        relativeMaximum(
          rewards.map((r, k) => (k === i ? r + by : r)),
          beta,
        ).value;
      // Central differences are exact to step^2 times a third derivative of at most 1 / beta^2, and to rounding / step.
      expect(Math.abs((shifted(step) - shifted(-step)) / (2 * step) - (gradient[i] ?? Number.NaN))).toBeLessThan(1e-8);
    });
  });

  it('becomes max - mean as beta goes to 0, the relative maximum itself', () => {
    const rewards = [0.1, -0.4, 1.2, 0.7];
    const hard = relativeMaximum(rewards, 0);
    expect(Math.abs(hard.value - 0.8)).toBeLessThan(1e-15);
    expect(hard.gradient).toEqual([-0.25, -0.25, 0.75, -0.25]);
    expect(Math.abs(relativeMaximum(rewards, 1e-3).value - 0.8 + 1e-3 * Math.log(4))).toBeLessThan(1e-12);
  });

  it('becomes variance / (2 beta) as beta grows', () => {
    const rewards = [0.1, -0.4, 1.2, 0.7];
    const variance = rewards.reduce((sum, r) => sum + (r - 0.4) ** 2, 0) / rewards.length;
    expect(Math.abs(relativeMaximum(rewards, 1e4).value * 2e4 - variance)).toBeLessThan(1e-4);
  });

  it('is 0 where nothing is better than anything else, and never below', () => {
    expect(relativeMaximum([], 1)).toEqual({ value: 0, gradient: [] });
    expect(relativeMaximum([3], 1).value).toBe(0);
    expect(relativeMaximum([2, 2, 2], 0.5).value).toBe(0);
    expect(relativeMaximum([2, 1, 5], 0.5).value).toBeGreaterThan(0);
  });

  it('does not see a number added to every reward', () => {
    const [plain, shifted] = [relativeMaximum([0.5, -1, 2], 0.7), relativeMaximum([100.5, 99, 102], 0.7)];
    expect(Math.abs(plain.value - shifted.value)).toBeLessThan(1e-12);
    expect(Math.abs(plain.gradient.reduce((sum, slope) => sum + slope, 0))).toBeLessThan(1e-15);
  });

  it('has the value of the inner problem over a tabular policy: no policy does better, and the best one meets it', () => {
    // pi_ref uniform over four responses; F(pi) = E_pi[r] - E_ref[r] - beta KL(pi || pi_ref), Eq. 3.1.
    const rewards = [0.1, -0.4, 1.2, 0.7];
    const beta = 0.6;
    const value = (policy: readonly number[]): number =>
      policy.reduce((sum, p, i) => sum + p * (rewards[i] ?? 0) - beta * p * Math.log(p * 4), 0) - 0.4;
    const weights = rewards.map((r) => Math.exp(r / beta));
    const total = weights.reduce((sum, w) => sum + w, 0);
    const { value: optimum, gradient } = relativeMaximum(rewards, beta);
    expect(Math.abs(value(weights.map((w) => w / total)) - optimum)).toBeLessThan(1e-12);
    // The derivative by r is the best policy minus the reference (the envelope theorem).
    gradient.forEach(
      (slope, i) => void expect(Math.abs(slope - ((weights[i] ?? 0) / total - 0.25))).toBeLessThan(1e-12),
    );
    for (const policy of [
      [0.25, 0.25, 0.25, 0.25],
      [0.1, 0.1, 0.5, 0.3],
      [0.05, 0.05, 0.8, 0.1],
    ])
      expect(value(policy)).toBeLessThan(optimum);
  });

  it('refuses a negative softness', () => {
    expect(() => relativeMaximum([1, 2], -1)).toThrow(expect.objectContaining({ code: 'OBJECTIVE_BETA_INVALID' }));
  });
});
