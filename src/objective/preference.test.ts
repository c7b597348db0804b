/** @file The preference losses against values worked out by hand, finite differences, and TRL's conventions. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ktoBaseline, type PreferenceLoss, preferenceTerm } from './preference.ts';
import { logSigmoid, sigmoid } from './sigmoid.ts';

const LENGTHS = { chosen: 10, rejected: 20 };
const beta = 0.1;

describe('logSigmoid()', () => {
  it.each([
    [0, -Math.LN2],
    [1e4, 0],
    [-1e4, -1e4],
    [40, -4.248354255291589e-18],
    [-40, -40],
    [Number.MAX_VALUE, 0],
    [-Number.MAX_VALUE, -Number.MAX_VALUE],
  ])('of %d is %d', (x, expected) => {
    expect(Math.abs(logSigmoid(x) - expected)).toBeLessThanOrEqual(1e-15 * Math.abs(expected));
  });

  it('is the logarithm of sigmoid(), and sigmoid() of both signs add up to 1', () => {
    fc.assert(
      // Below -700 the sigmoid itself leaves float64's normal numbers.
      fc.property(fc.double({ min: -700, max: 700, noNaN: true }), (x) => {
        expect(Math.abs(logSigmoid(x) - Math.log(sigmoid(x)))).toBeLessThanOrEqual(1e-15 * (1 + Math.abs(x)));
        expect(Math.abs(sigmoid(x) + sigmoid(-x) - 1)).toBeLessThanOrEqual(2 ** -52);
      }),
    );
  });

  it('and sigmoid() never overflow', () => {
    expect([sigmoid(1e4), sigmoid(-1e4), sigmoid(-Number.MAX_VALUE)]).toEqual([1, 0, 0]);
  });
});

describe('preferenceTerm()', () => {
  it('weighs both orders of a dpo pair by label smoothing', () => {
    // beta Delta = 0.1 (3 - -2) = 0.5; log sigma(0.5) = -0.474076984..., log sigma(-0.5) = -0.974076984...
    const preference: PreferenceLoss = { kind: 'dpo', beta, labelSmoothing: 0.2 };
    const { loss, gradient } = preferenceTerm({ chosen: 3, rejected: -2, lengths: LENGTHS }, preference);
    expect(Math.abs(loss - (0.8 * 0.4740769841801067 + 0.2 * 0.9740769841801067))).toBeLessThan(1e-15);
    const slope = 0.1 * (0.2 * 0.6224593312018546 - 0.8 * 0.3775406687981454);
    expect(Math.abs(gradient.chosen - slope)).toBeLessThan(1e-15);
    expect(gradient.rejected).toBe(-gradient.chosen);
  });

  it('of a dpo pair in the right order but smoothed labels pulls back once the margin is too wide', () => {
    const preference: PreferenceLoss = { kind: 'dpo', beta: 1, labelSmoothing: 0.2 };
    // The optimum is where sigma(margin) = 1 - labelSmoothing: margin = ln 4.
    const at = (margin: number): number =>
      preferenceTerm({ chosen: margin, rejected: 0, lengths: LENGTHS }, preference).gradient.chosen;
    expect(at(Math.log(4) - 0.1)).toBeLessThan(0);
    expect(at(Math.log(4) + 0.1)).toBeGreaterThan(0);
    expect(Math.abs(at(Math.log(4)))).toBeLessThan(1e-15);
  });

  it('averages over tokens for ipo, and divides its gradient by the length', () => {
    // Averages 30/10 = 3 and -20/20 = -1, so Delta = 4; 1 / (2 beta) = 5; (4 - 5)^2 = 1, slope 2 (4 - 5) = -2.
    const { loss, gradient, rewardChosen, rewardRejected } = preferenceTerm(
      { chosen: 30, rejected: -20, lengths: LENGTHS },
      { kind: 'ipo', beta },
    );
    expect(loss).toBe(1);
    expect(gradient).toEqual({ chosen: -2 / 10, rejected: 2 / 20 });
    expect([rewardChosen, rewardRejected]).toEqual([beta * 3, beta * -1]);
  });

  it.each([
    ['inside the margin', 5, 0.5, -beta],
    ['at the kink', 10, 0, 0],
    ['beyond the margin', 15, 0, 0],
    ['in the wrong order', -5, 1.5, -beta],
  ])('is a hinge %s', (_, delta, loss, slope) => {
    const term = preferenceTerm({ chosen: delta, rejected: 0, lengths: LENGTHS }, { kind: 'hinge', beta });
    expect(term.loss).toBe(loss);
    expect(term.gradient.chosen).toBe(slope);
  });

  it('has finite loss and gradient for log-ratios of any size', () => {
    for (const delta of [1e4, -1e4, 1e8, -1e8]) {
      const preference: PreferenceLoss = { kind: 'dpo', beta: 1, labelSmoothing: 0 };
      const { loss, gradient } = preferenceTerm({ chosen: delta, rejected: 0, lengths: LENGTHS }, preference);
      expect(loss).toBe(Math.max(0, -delta));
      expect(Math.abs(gradient.chosen)).toBe(delta > 0 ? 0 : 1);
    }
  });

  it.each([0, -0.1, Number.NaN, Number.POSITIVE_INFINITY])('refuses beta %d', (bad) => {
    expect(() => preferenceTerm({ chosen: 0, rejected: 0, lengths: LENGTHS }, { kind: 'ipo', beta: bad })).toThrow(
      expect.objectContaining({ code: 'OBJECTIVE_BETA_INVALID' }),
    );
  });

  it.each([-0.1, 0.5, 1, Number.NaN])('refuses labelSmoothing %d', (labelSmoothing) => {
    const preference: PreferenceLoss = { kind: 'dpo', beta, labelSmoothing };
    expect(() => preferenceTerm({ chosen: 0, rejected: 0, lengths: LENGTHS }, preference)).toThrow(
      expect.objectContaining({ code: 'OBJECTIVE_LABEL_SMOOTHING_INVALID' }),
    );
  });

  it('refuses to average over no tokens', () => {
    const pair = { chosen: 0, rejected: 0, lengths: { chosen: 3, rejected: 0 } };
    expect(() => preferenceTerm(pair, { kind: 'ipo', beta })).toThrow(/rejected response over 0 tokens/);
  });
});

describe('the sppo loss', () => {
  it('asks for log-ratios of half an inverse beta, up for the chosen and down for the rejected', () => {
    // beta 0.1: targets +5 and -5. (3 - 5)^2 + (-1 + 5)^2 = 4 + 16.
    const pair = { chosen: 3, rejected: -1, lengths: LENGTHS };
    const { loss, gradient } = preferenceTerm(pair, { kind: 'sppo', beta, targets: 'hard' });
    expect(loss).toBe(20);
    expect(gradient).toEqual({ chosen: -4, rejected: 8 });
  });

  it("takes the ranker's probabilities where it is told to, and certainty where there are none", () => {
    const ranker: PreferenceLoss = { kind: 'sppo', beta, targets: 'ranker' };
    const pair = { chosen: 3, rejected: -1, lengths: LENGTHS };
    // P 0.75 and 0.5: targets (0.75 - 0.5) / 0.1 = 2.5 and 0. 0.5^2 + 1.
    const probable = { ...pair, winProbabilities: { chosen: 0.75, rejected: 0.5 } };
    expect(preferenceTerm(probable, ranker).loss).toBe(1.25);
    expect(preferenceTerm(pair, ranker)).toEqual(preferenceTerm(pair, { kind: 'sppo', beta, targets: 'hard' }));
    expect(preferenceTerm(probable, { kind: 'sppo', beta, targets: 'hard' }).loss).toBe(20);
  });

  it.each([-0.1, 1.1, Number.NaN])('refuses a win probability of %d', (chosen) => {
    const pair = { chosen: 0, rejected: 0, lengths: LENGTHS, winProbabilities: { chosen, rejected: 0.5 } };
    expect(() => preferenceTerm(pair, { kind: 'sppo', beta, targets: 'ranker' })).toThrow(
      expect.objectContaining({ code: 'OBJECTIVE_PROBABILITY_INVALID' }),
    );
  });
});

describe('the kto loss', () => {
  const kto: PreferenceLoss = { kind: 'kto', beta: 1, chosenWeight: 1, rejectedWeight: 2 };

  it('measures each response from its reference point', () => {
    const pair = { chosen: 1, rejected: 3, lengths: LENGTHS };
    const { loss, gradient } = preferenceTerm(pair, kto, { chosen: 1, rejected: 3 });
    // At its own reference point each side is 1/2: (1/2 + 2 x 1/2) / 2, slopes weight / 4 / 2.
    expect(loss).toBe(0.75);
    expect(gradient).toEqual({ chosen: -0.125, rejected: 0.25 });
  });

  it('takes the reference point of each side from the other side, and never below 0', () => {
    const pairs = [
      { chosen: 4, rejected: -3 },
      { chosen: 0, rejected: 1 },
    ];
    expect(ktoBaseline(pairs)).toEqual({ chosen: 0, rejected: 2 });
  });

  it.each([0, -1, Number.NaN])('refuses a weight of %d', (rejectedWeight) => {
    expect(() => preferenceTerm({ chosen: 0, rejected: 0, lengths: LENGTHS }, { ...kto, rejectedWeight })).toThrow(
      expect.objectContaining({ code: 'OBJECTIVE_WEIGHT_INVALID' }),
    );
  });
});
