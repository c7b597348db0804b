/** @file The whole objective: golden vectors of the authors' loss, finite differences, alpha = 0, bad input. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TrainingError } from '../errors.ts';
import type { Exploration } from './exploration.ts';
import {
  lossAtReference,
  type ObjectiveOptions,
  type PairInput,
  type PairObjective,
  pairObjective,
} from './objective.ts';
import type { BatchBaseline, PreferenceLoss } from './preference.ts';

const NONE: Exploration = { kind: 'none' };

describe('pairObjective()', () => {
  // The authors' `optimistic_dpo_loss` (github.com/shenao-zhang/SELM, scripts/selm_trainer.py at 0ba546a), float64:
  // p_c, p_j, p_y, r_c, r_j, r_y, alpha, beta -> dpo, optimism, total, d/dp_c, d/dp_y. Given to 12 decimals.
  it.each([
    [-120, -150, -95, -125, -140, -90, 1e-3, 0.01, 0.62095704779, -5e-5, 0.62090704779, -0.004625701547, 1e-5],
    [-120, -150, -120, -125, -140, -125, 1e-3, 0.01, 0.62095704779, 5e-5, 0.62100704779, -0.004625701547, 1e-5],
    [-300, -280, -210, -290, -295, -200, 1e-4, 0.01, 0.825939419879, -1e-5, 0.825929419879, -0.005621765009, 1e-6],
    [-12.5, -9.25, -7.75, -11, -10.5, -8.5, 5e-3, 0.1, 0.84007066769, 3.75e-4, 0.84044566769, -0.056831998348, 5e-4],
  ])(
    "equals the authors' loss at log-probabilities %d %d %d, reference %d %d %d, alpha %d, beta %d",
    (pc, pj, py, rc, rj, ry, alpha, beta, dpo, optimism, total, slopeChosen, slopeResponse) => {
      const result = pairObjective(
        {
          policy: { chosen: pc, rejected: pj, response: py },
          reference: { chosen: rc, rejected: rj, response: ry },
          lengths: { chosen: 40, rejected: 50, response: 30 },
        },
        { preference: { kind: 'dpo', beta, labelSmoothing: 0 }, exploration: { kind: 'selm', alpha } },
      );
      expectNear(result.preferenceLoss, dpo);
      expectNear(result.explorationLoss, optimism);
      expectNear(result.loss, total);
      expectNear(result.gradient.chosen, slopeChosen);
      expectNear(result.gradient.rejected, -slopeChosen);
      expectNear(result.gradient.response, slopeResponse);
      expectNear(result.rewardChosen, beta * (pc - rc));
      expectNear(result.rewardRejected, beta * (pj - rj));
    },
  );

  it('has the gradient that central differences of its loss give, for every loss', () => {
    fc.assert(
      fc.property(
        anyInput({ response: 'always' }),
        anyPreference(),
        anyExploration(),
        anyBaseline(),
        fc.constantFrom(0, 0.2, 1),
        (input, preference, exploration, baseline, chosenLikelihood) => {
          const delta =
            input.policy.chosen - input.reference.chosen - (input.policy.rejected - input.reference.rejected);
          // The hinge has no derivative at its kink, nor has dpop where the chosen response is as probable as before.
          fc.pre(preference.kind !== 'hinge' || Math.abs(1 - preference.beta * delta) > 0.01);
          fc.pre(preference.kind !== 'dpop' || Math.abs(input.policy.chosen - input.reference.chosen) > 0.01);
          const options: ObjectiveOptions = { preference, exploration, chosenLikelihood };
          const { gradient } = pairObjective(input, options, baseline);
          for (const sequence of ['chosen', 'rejected', 'response'] as const) {
            const slope = centralDifference(input, { options, baseline }, sequence);
            // Step 1e-3: truncation beta^3 1e-6 / 60 for dpo, rounding 1e-16 loss / 1e-3 with losses up to 1e5 (sppo).
            expect(Math.abs(gradient[sequence] - slope)).toBeLessThan(1e-7 * Math.max(1, Math.abs(slope)));
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('with alpha 0 is plain DPO bit for bit, whatever the inputs', () => {
    fc.assert(
      fc.property(
        anyInput({ response: 'sometimes' }),
        anyPreference(),
        fc.constantFrom('selm' as const, 'xpo' as const, 'popo' as const, 'held' as const, 'vpo' as const),
        fc.constantFrom(0, -0),
        (input, preference, kind, alpha) => {
          const withTerm = outcome(input, { preference, exploration: { kind, alpha } });
          const plain = outcome(input, { preference, exploration: NONE });
          expectSameBits(withTerm, plain);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('with alpha 0 adds neither NaN nor -0 at extreme log-probabilities', () => {
    const extremes = [
      0,
      -0,
      -1e4,
      1e4,
      -5e-324,
      Number.MAX_VALUE,
      -Number.MAX_VALUE,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
    ];
    const preference: PreferenceLoss = { kind: 'dpo', beta: 0.01, labelSmoothing: 0 };
    for (const policyResponse of extremes) {
      for (const referenceResponse of extremes) {
        const input: PairInput = {
          policy: { chosen: -3, rejected: -4, response: policyResponse },
          reference: { chosen: -3, rejected: -4, response: referenceResponse },
          lengths: { chosen: 1, rejected: 1, response: 1 },
        };
        const withTerm = outcome(input, { preference, exploration: { kind: 'selm', alpha: 0 } });
        expectSameBits(withTerm, outcome(input, { preference, exploration: NONE }));
        if (typeof withTerm === 'string') continue;
        expect(Object.is(withTerm.loss, withTerm.preferenceLoss)).toBe(true);
        expect(Object.is(withTerm.gradient.response, 0)).toBe(true);
      }
    }
  });

  it('leaves the preference loss and its gradient alone, whatever alpha', () => {
    fc.assert(
      fc.property(
        anyInput({ response: 'always' }),
        anyPreference(),
        fc.double({ min: 0, max: 10, noNaN: true }),
        (input, preference, alpha) => {
          const withTerm = pairObjective(input, { preference, exploration: { kind: 'selm', alpha } });
          const plain = pairObjective(input, { preference, exploration: NONE });
          expect(Object.is(withTerm.preferenceLoss, plain.loss)).toBe(true);
          expect(Object.is(withTerm.gradient.chosen, plain.gradient.chosen)).toBe(true);
          expect(Object.is(withTerm.gradient.rejected, plain.gradient.rejected)).toBe(true);
        },
      ),
    );
  });

  it('adds nothing where no response was sampled', () => {
    const input: PairInput = {
      policy: { chosen: -3, rejected: -4, response: null },
      reference: { chosen: -4, rejected: -3, response: null },
      lengths: { chosen: 2, rejected: 2, response: null },
    };
    const preference: PreferenceLoss = { kind: 'dpo', beta: 0.1, labelSmoothing: 0 };
    const result = pairObjective(input, { preference, exploration: { kind: 'selm', alpha: 0.5 } });
    expectSameBits(result, pairObjective(input, { preference, exploration: NONE }));
  });

  it('pushes the chosen response up, the rejected one down, and the sampled one down', () => {
    const input: PairInput = {
      policy: { chosen: -3, rejected: -4, response: -5 },
      reference: { chosen: -3, rejected: -4, response: -5 },
      lengths: { chosen: 2, rejected: 2, response: 2 },
    };
    const { gradient, loss, explorationLoss } = pairObjective(input, {
      preference: { kind: 'dpo', beta: 0.01, labelSmoothing: 0 },
      exploration: { kind: 'selm', alpha: 1e-3 },
    });
    // A gradient descends: negative means up. At the start sigma is 1/2 and the loss is ln 2.
    expect(gradient).toEqual({ chosen: -0.005, rejected: 0.005, response: 1e-5 });
    expectNear(loss, Math.LN2);
    expect(explorationLoss).toBe(0);
  });

  it('with a weight of the chosen likelihood pulls the chosen response up however settled the pair is', () => {
    const settled: PairInput = {
      policy: { chosen: -30, rejected: -900, response: null },
      reference: { chosen: -3, rejected: -4, response: null },
      lengths: { chosen: 10, rejected: 2, response: null },
    };
    const preference: PreferenceLoss = { kind: 'dpo', beta: 1, labelSmoothing: 0 };
    const plain = pairObjective(settled, { preference, exploration: NONE });
    const weighed = pairObjective(settled, { preference, exploration: NONE, chosenLikelihood: 0.5 });
    expect(plain.gradient.chosen).toBeCloseTo(0, 12);
    expect(weighed.gradient).toEqual({ ...plain.gradient, chosen: plain.gradient.chosen - 0.05 });
    expect(weighed.likelihoodLoss).toBe(1.5); // 0.5 * 30 nats / 10 tokens
    expect(weighed.loss).toBe(plain.loss + 1.5);
  });

  it('with popo stays within alpha / (2 beta) of the preference loss, and lets go of a response that has fallen', () => {
    const objectiveAt = (fall: number): PairObjective =>
      pairObjective(
        {
          policy: { chosen: -3, rejected: -4, response: -5 - fall },
          reference: { chosen: -3, rejected: -4, response: -5 },
          lengths: { chosen: 2, rejected: 2, response: 2 },
        },
        { preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 }, exploration: { kind: 'popo', alpha: 0.04 } },
      );
    expect(objectiveAt(0)).toMatchObject({ explorationLoss: 0, gradient: { response: 0.01 } }); // alpha / 4
    expect(objectiveAt(1e5).explorationLoss).toBeCloseTo(-0.2, 12); // alpha / (2 beta)
    expect(objectiveAt(1e3).gradient.response).toBeLessThan(1e-40);
  });

  it('with held starts with the force of selm, and keeps its share of the preference as the pair is settled', () => {
    const gradientAt = (margin: number): PairObjective['gradient'] =>
      pairObjective(
        {
          policy: { chosen: -3, rejected: -4 - margin, response: -7 },
          reference: { chosen: -3, rejected: -4, response: -5 },
          lengths: { chosen: 2, rejected: 2, response: 2 },
        },
        { preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 }, exploration: { kind: 'held', alpha: 0.05 } },
      ).gradient;
    expect(gradientAt(0).response).toBeCloseTo(0.05 * 0.1, 15); // alpha beta
    const settled = gradientAt(60);
    expect(settled.response).toBeLessThan(1e-4);
    expect(settled.response / settled.rejected).toBeCloseTo(2 * 0.05, 12);
  });

  it.each([-1, Number.NaN])('refuses the weight %d of a chosen likelihood', (chosenLikelihood) => {
    const logProbs = { chosen: -3, rejected: -4, response: null };
    const input = { policy: logProbs, reference: logProbs, lengths: { chosen: 2, rejected: 2, response: null } };
    const preference: PreferenceLoss = { kind: 'hinge', beta: 1 };
    expect(() => pairObjective(input, { preference, exploration: NONE, chosenLikelihood })).toThrow(
      expect.objectContaining({ code: 'OBJECTIVE_WEIGHT_INVALID' }),
    );
  });

  it.each([
    ['policy', 'chosen', Number.NaN],
    ['policy', 'rejected', Number.NEGATIVE_INFINITY],
    ['policy', 'response', Number.NaN],
    ['reference', 'chosen', Number.POSITIVE_INFINITY],
    ['reference', 'rejected', Number.NaN],
    ['reference', 'response', Number.NEGATIVE_INFINITY],
  ] as const)('refuses a log-probability that is not finite and names it: %s, %s, %d', (model, sequence, value) => {
    const logProbs = { chosen: -3, rejected: -4, response: -5 };
    const input = {
      policy: { ...logProbs },
      reference: { ...logProbs },
      lengths: { chosen: 2, rejected: 2, response: 2 },
    };
    input[model][sequence] = value;
    const options: ObjectiveOptions = {
      preference: { kind: 'dpo', beta: 0.01, labelSmoothing: 0 },
      exploration: { kind: 'selm', alpha: 1e-3 },
    };
    expect(() => pairObjective(input, options)).toThrow(TrainingError);
    expect(() => pairObjective(input, options)).toThrow(
      new RegExp(`${model}'s log-probability of the ${sequence} response is ${value} `),
    );
  });

  it('refuses finite log-probabilities whose loss overflows', () => {
    const input: PairInput = {
      policy: { chosen: -Number.MAX_VALUE, rejected: Number.MAX_VALUE, response: null },
      reference: { chosen: 0, rejected: 0, response: null },
      lengths: { chosen: 2, rejected: 2, response: null },
    };
    const options: ObjectiveOptions = { preference: { kind: 'dpo', beta: 1, labelSmoothing: 0 }, exploration: NONE };
    expect(() => pairObjective(input, options)).toThrow(expect.objectContaining({ code: 'OBJECTIVE_NOT_FINITE' }));
  });

  it('refuses a response under one model alone', () => {
    const input: PairInput = {
      policy: { chosen: -3, rejected: -4, response: -5 },
      reference: { chosen: -3, rejected: -4, response: null },
      lengths: { chosen: 2, rejected: 2, response: 2 },
    };
    const options: ObjectiveOptions = { preference: { kind: 'hinge', beta: 1 }, exploration: NONE };
    expect(() => pairObjective(input, options)).toThrow(
      expect.objectContaining({ code: 'OBJECTIVE_RESPONSE_MISMATCH' }),
    );
  });

  it.each([-1e-3, Number.NaN, Number.POSITIVE_INFINITY])('refuses alpha %d, with and without a response', (alpha) => {
    for (const response of [-5, null]) {
      const logProbs = { chosen: -3, rejected: -4, response };
      const input: PairInput = {
        policy: logProbs,
        reference: logProbs,
        lengths: { chosen: 2, rejected: 2, response: response === null ? null : 2 },
      };
      const options: ObjectiveOptions = {
        preference: { kind: 'hinge', beta: 1 },
        exploration: { kind: 'selm', alpha },
      };
      expect(() => pairObjective(input, options)).toThrow(expect.objectContaining({ code: 'OBJECTIVE_ALPHA_INVALID' }));
    }
  });
});

describe('lossAtReference()', () => {
  const reference = { chosen: -30, rejected: -41, response: -50 };
  const start = { reference, lengths: { chosen: 10, rejected: 20, response: 30 } };

  it.each([
    [{ kind: 'dpo', beta: 0.01, labelSmoothing: 0 }, Math.LN2],
    [{ kind: 'dpo', beta: 0.01, labelSmoothing: 0.3 }, Math.LN2],
    [{ kind: 'dpop', beta: 0.1, penalty: 5 }, Math.LN2],
    [{ kind: 'ipo', beta: 0.1 }, 25],
    [{ kind: 'hinge', beta: 0.1 }, 1],
    [{ kind: 'sppo', beta: 0.1, targets: 'hard' }, 50],
    [{ kind: 'kto', beta: 0.1, chosenWeight: 1, rejectedWeight: 1 }, 0.5],
  ] as [PreferenceLoss, number][])('of %j is %d, with the optimism of selm or without', (preference, expected) => {
    for (const exploration of [NONE, { kind: 'selm', alpha: 0.5 }] as const) {
      expect(Math.abs(lossAtReference(start, { preference, exploration }) - expected)).toBeLessThan(1e-13);
    }
  });

  it("of sppo with the ranker's probabilities depends on them", () => {
    const preference: PreferenceLoss = { kind: 'sppo', beta: 0.1, targets: 'ranker' };
    const input = { ...start, winProbabilities: { chosen: 0.75, rejected: 0.5 } };
    expect(lossAtReference(input, { preference, exploration: NONE })).toBe(6.25);
  });

  it('has the term of xpo in it, which does not subtract the reference', () => {
    const preference: PreferenceLoss = { kind: 'hinge', beta: 0.1 };
    expect(lossAtReference(start, { preference, exploration: { kind: 'xpo', alpha: 0.01 } })).toBe(1 - 0.5);
  });
});

/** Within 1e-12: the golden values are written with 12 decimals. */
function expectNear(actual: number, expected: number): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-12);
}

/** The objective, or the message of its refusal. */
function outcome(input: PairInput, options: ObjectiveOptions): PairObjective | string {
  try {
    return pairObjective(input, options);
  } catch (error) {
    if (error instanceof TrainingError) return error.message;
    throw error;
  }
}

/** Field by field by Object.is, so that -0 differs from 0 and NaN equals NaN. */
function expectSameBits(actual: PairObjective | string, expected: PairObjective | string): void {
  if (typeof actual === 'string' || typeof expected === 'string') {
    expect(actual).toBe(expected);
    return;
  }
  const numbers = ({ gradient, ...rest }: PairObjective): number[] => [
    rest.loss,
    rest.preferenceLoss,
    rest.explorationLoss,
    rest.likelihoodLoss,
    rest.rewardChosen,
    rest.rewardRejected,
    gradient.chosen,
    gradient.rejected,
    gradient.response,
  ];
  const expectedNumbers = numbers(expected);
  for (const [index, value] of numbers(actual).entries()) expect(Object.is(value, expectedNumbers[index])).toBe(true);
}

function centralDifference(
  input: PairInput,
  { options, baseline }: { options: ObjectiveOptions; baseline: BatchBaseline },
  sequence: 'chosen' | 'rejected' | 'response',
): number {
  const step = 1e-3;
  const lossAt = (change: number): number => {
    const logProb = input.policy[sequence];
    if (logProb === null) throw new Error('The input has no response');
    const changed = { ...input, policy: { ...input.policy, [sequence]: logProb + change } };
    return pairObjective(changed, options, baseline).loss;
  };
  return (lossAt(step) - lossAt(-step)) / (2 * step);
}

/** Log-probabilities of sequences of up to 50 tokens. */
function anyInput(options: { response: 'always' | 'sometimes' }): fc.Arbitrary<PairInput> {
  const logProb = fc.double({ min: -200, max: 0, noNaN: true });
  const length = fc.integer({ min: 1, max: 50 });
  const response = fc.tuple(logProb, logProb, length);
  const nil = options.response === 'always' ? response : fc.option(response, { nil: null, freq: 4 });
  const half = fc.double({ min: 0, max: 0.5, noNaN: true });
  const winProbabilities = fc.option(
    fc.tuple(half, half).map(([more, less]) => ({ chosen: 0.5 + more, rejected: less })),
    { nil: null },
  );
  const sequences = fc.tuple(logProb, logProb, logProb, logProb, length, length, nil, winProbabilities);
  return sequences.map(([pc, pj, rc, rj, nc, nj, y, winProbabilities]) => ({
    winProbabilities,
    policy: { chosen: pc, rejected: pj, response: y?.[0] ?? null },
    reference: { chosen: rc, rejected: rj, response: y?.[1] ?? null },
    lengths: { chosen: nc, rejected: nj, response: y?.[2] ?? null },
  }));
}

function anyPreference(): fc.Arbitrary<PreferenceLoss> {
  const beta = fc.double({ min: 0.05, max: 1, noNaN: true });
  const weight = fc.double({ min: 0.1, max: 4, noNaN: true });
  const labelSmoothing = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 0.49, noNaN: true }));
  return fc.oneof(
    fc.record({ kind: fc.constant('dpo' as const), beta, labelSmoothing }),
    fc.record({
      kind: fc.constant('dpop' as const),
      beta,
      penalty: fc.double({ min: 0, max: 10, noNaN: true }),
    }),
    fc.record({ kind: fc.constant('ipo' as const), beta }),
    fc.record({ kind: fc.constant('hinge' as const), beta }),
    fc.record({
      kind: fc.constant('sppo' as const),
      beta,
      targets: fc.constantFrom('hard' as const, 'ranker' as const),
    }),
    fc.record({ kind: fc.constant('kto' as const), beta, chosenWeight: weight, rejectedWeight: weight }),
  );
}

function anyExploration(): fc.Arbitrary<Exploration> {
  const alpha = fc.double({ min: 0, max: 1, noNaN: true });
  return fc.oneof(
    fc.constant(NONE),
    fc.record({ kind: fc.constant('selm' as const), alpha }),
    fc.record({ kind: fc.constant('xpo' as const), alpha }),
    fc.record({ kind: fc.constant('popo' as const), alpha }),
    fc.record({ kind: fc.constant('vpo' as const), alpha }),
  );
}

/** Reference points of kto, constants of the derivative; other losses do not read them. */
function anyBaseline(): fc.Arbitrary<BatchBaseline> {
  const point = fc.double({ min: 0, max: 20, noNaN: true });
  return fc.record({ chosen: point, rejected: point });
}
