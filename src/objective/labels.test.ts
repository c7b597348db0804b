import { describe, expect, it } from 'vitest';
import { advisedDesirableWeight, type LabelLoss, labelDivergence, labelLossAtReference, labelTerm } from './labels.ts';
import { preferenceTerm } from './preference.ts';

const KTO: LabelLoss = { kind: 'kto', beta: 0.5, desirableWeight: 1, undesirableWeight: 2, baseline: 'mismatched' };

describe('the loss on labels', () => {
  it('is one minus the sigmoid of how far a good response lies above the reference point', () => {
    const { loss, reward } = labelTerm({ policy: -3, reference: -5, desirable: true }, KTO, 1);
    expect(loss).toBeCloseTo(1 - 1 / (1 + Math.exp(-0.5 * (2 - 1))), 14);
    expect(reward).toBe(1);
  });

  it('weighs a bad response by its own weight, and turns its sign', () => {
    const { loss } = labelTerm({ policy: -3, reference: -5, desirable: false }, KTO, 1);
    expect(loss).toBeCloseTo(2 * (1 - 1 / (1 + Math.exp(-0.5 * (1 - 2)))), 14);
  });

  it('has the derivative that finite differences have', () => {
    const step = 1e-6;
    for (const desirable of [true, false]) {
      const at = (policy: number): number => labelTerm({ policy, reference: -4, desirable }, KTO, 0.3).loss;
      const { gradient } = labelTerm({ policy: -3.2, reference: -4, desirable }, KTO, 0.3);
      // Central differences of a function of size 1: error about step^2.
      expect(gradient).toBeCloseTo((at(-3.2 + step) - at(-3.2 - step)) / (2 * step), 8);
    }
  });

  it('of a good and a bad response is twice the loss of KTO on their pair, at the same reference point', () => {
    const pair = { chosen: 0.7, rejected: -0.4, lengths: { chosen: 1, rejected: 1 } };
    const paired = preferenceTerm(
      pair,
      { kind: 'kto', beta: 0.5, chosenWeight: 1, rejectedWeight: 2 },
      { chosen: 0.2, rejected: 0.2 },
    );
    const good = labelTerm({ policy: 0.7, reference: 0, desirable: true }, KTO, 0.2);
    const bad = labelTerm({ policy: -0.4, reference: 0, desirable: false }, KTO, 0.2);
    expect(good.loss + bad.loss).toBe(2 * paired.loss);
    expect([good.gradient, bad.gradient]).toEqual([2 * paired.gradient.chosen, 2 * paired.gradient.rejected]);
  });

  it('takes no reference point below 0, and 0 where nothing was mismatched', () => {
    expect(labelDivergence({ sum: -4, count: 2 })).toBe(0);
    expect(labelDivergence({ sum: 0, count: 0 })).toBe(0);
    expect(labelDivergence({ sum: 3, count: 2 })).toBe(1.5);
  });

  it('is half the weight where the policy is the reference', () => {
    expect(labelLossAtReference(true, KTO)).toBe(0.5);
    expect(labelLossAtReference(false, KTO)).toBe(1);
  });

  it('advises weights that make both kinds count alike', () => {
    expect(advisedDesirableWeight({ desirable: 20, undesirable: 10 }, 1)).toEqual({ from: 0.5, to: (0.5 * 4) / 3 });
  });

  it('refuses weights and log-probabilities that mean nothing', () => {
    const input = { policy: -1, reference: -1, desirable: true };
    expect(() => labelTerm(input, { ...KTO, beta: 0 }, 0)).toThrow(
      expect.objectContaining({ code: 'OBJECTIVE_BETA_INVALID' }),
    );
    expect(() => labelTerm(input, { ...KTO, desirableWeight: -1 }, 0)).toThrow(
      expect.objectContaining({ code: 'OBJECTIVE_WEIGHT_INVALID' }),
    );
    expect(() => labelTerm({ ...input, policy: Number.NaN }, KTO, 0)).toThrow(
      expect.objectContaining({ code: 'OBJECTIVE_INPUT_NOT_FINITE' }),
    );
  });
});
