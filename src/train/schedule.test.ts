/** @file Learning rates of the authors' recipes, step by step, and across iterations. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { iterationLearningRate, learningRateAt, singleStepWarning, warmupSteps } from './schedule.ts';

/** Equal to float64 rounding: the same formula, in another order of operations or another language's cosine. */
function expectRate(actual: number, expected: number): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-12 * expected);
}

describe('learningRateAt()', () => {
  // get_cosine_schedule_with_warmup's formula, evaluated in Python.
  const ZEPHYR = { totalSteps: 59, warmupSteps: 6, learningRate: 5e-7, kind: 'cosine' } as const;
  it.each([
    [0, 0],
    [1, 8.333333333333333e-8],
    [6, 5e-7],
    [29, 3.014946546852746e-7],
    [58, 4.3906705891963434e-10],
  ])('of step %d of the 59 of a Zephyr iteration is %d', (step, rate) => {
    expectRate(learningRateAt(step, ZEPHYR), rate);
  });

  const LLAMA = { totalSteps: 159, warmupSteps: 16, kind: 'cosine' } as const;
  it.each([
    [5e-7, 0, 0],
    [5e-7, 1, 3.125e-8],
    [5e-7, 8, 2.5e-7],
    [5e-7, 16, 5e-7],
    [5e-7, 40, 4.6604720940421207e-7],
    [5e-7, 87, 2.527460921992209e-7],
    [5e-7, 158, 6.032817893297793e-11],
    [3e-7, 40, 2.7962832564252725e-7],
    [3e-7, 100, 1.0932357971453743e-7],
    [1e-7, 1, 6.25e-9],
    [1e-7, 158, 1.2065635786595584e-11],
  ])('with peak %d, of step %d of the 159 of a Llama-3 iteration is %d', (learningRate, step, rate) => {
    // The cosine near its minimum leaves 1 + cos(...) with few digits: 1e-12 of the value still holds at step 158.
    expectRate(learningRateAt(step, { ...LLAMA, learningRate }), rate);
  });

  it('falls in a straight line to 0 with kind linear, and stays with kind constant', () => {
    const options = { totalSteps: 12, warmupSteps: 2, learningRate: 1 };
    const rates = (kind: 'linear' | 'constant'): number[] =>
      [0, 1, 2, 7, 11, 12].map((step) => learningRateAt(step, { ...options, kind }));
    const linear = rates('linear');
    for (const [index, expected] of [0, 0.5, 1, 0.5, 0.1, 0].entries()) {
      expect(linear[index]).toBeCloseTo(expected, 12);
    }
    expect(rates('constant')).toEqual([0, 0.5, 1, 1, 1, 1]);
  });

  it('starts at the peak where there is no warm-up', () => {
    for (const kind of ['cosine', 'linear', 'constant'] as const) {
      expect(learningRateAt(0, { totalSteps: 10, warmupSteps: 0, learningRate: 3e-7, kind })).toBe(3e-7);
    }
  });

  it('of a single step is the peak, with and without a warm-up, and a warm-up is warned of', () => {
    for (const kind of ['cosine', 'linear', 'constant'] as const) {
      for (const ratio of [0, 0.1]) {
        const schedule = { totalSteps: 1, warmupSteps: warmupSteps(1, ratio), learningRate: 3e-7, kind };
        expect(learningRateAt(0, schedule)).toBe(3e-7);
        const warning = singleStepWarning(schedule, 'Iteration 1');
        if (ratio === 0) expect(warning).toBeNull();
        else expect(warning).toMatch(/Iteration 1 has a single step.*training\.warmupRatio.*training\.batchSize/);
      }
    }
    expect(singleStepWarning(ZEPHYR, 'Iteration 1')).toBeNull();
  });

  it('rises to the peak, never above it, then never rises again', () => {
    const kinds = fc.constantFrom('cosine', 'linear', 'constant' as const);
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 200 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        kinds,
        (total, ratio, kind) => {
          const warmup = warmupSteps(total, ratio);
          const options = { totalSteps: total, warmupSteps: warmup, learningRate: 2, kind };
          const rates = Array.from({ length: total + 1 }, (_, step) => learningRateAt(step, options));
          for (const [step, rate] of rates.entries()) {
            expect(rate).toBeGreaterThanOrEqual(0);
            expect(rate).toBeLessThanOrEqual(2);
            const before = rates[step - 1];
            if (before === undefined) continue;
            if (step <= warmup) expect(rate).toBeGreaterThan(before);
            else expect(rate).toBeLessThanOrEqual(before);
          }
        },
      ),
    );
  });

  it('refuses a step outside of the iteration', () => {
    const options = { totalSteps: 10, warmupSteps: 1, learningRate: 1, kind: 'cosine' } as const;
    for (const step of [-1, 11, 0.5, Number.NaN]) {
      expect(() => learningRateAt(step, options)).toThrow(expect.objectContaining({ code: 'SCHEDULE_STEP_INVALID' }));
    }
  });
});

describe('warmupSteps()', () => {
  it.each([
    [59, 0.1, 6],
    [159, 0.1, 16],
    [160, 0.1, 16],
    [1, 0.1, 1],
    [100, 0, 0],
  ])('of %d steps at ratio %d is %d', (total, ratio, expected) => {
    expect(warmupSteps(total, ratio)).toBe(expected);
  });
});

describe('iterationLearningRate()', () => {
  const peaks = (cycle: Parameters<typeof iterationLearningRate>[0], iterations: number): number[] =>
    Array.from({ length: iterations + 1 }, (_, iteration) => iterationLearningRate(cycle, iteration, iterations, 5e-7));

  it.each([
    ['constant', 3, [5e-7, 5e-7, 5e-7, 5e-7]],
    ['decayed-last', 3, [5e-7, 5e-7, 5e-7, 1e-7]], // train_zephyr.sh: the warm start, then three iterations
    ['linear', 3, [5e-7, 5e-7, 3e-7, 1e-7]], // train_llama.sh and train_phi.sh
    ['linear', 5, [5e-7, 5e-7, 4e-7, 3e-7, 2e-7, 1e-7]],
    ['linear', 1, [5e-7, 5e-7]],
    ['decayed-last', 1, [5e-7, 5e-7]],
  ] as const)('with cycle %s and %d iterations, warm start first, is %j', (cycle, iterations, expected) => {
    for (const [index, peak] of peaks(cycle, iterations).entries()) expectRate(peak, expected[index] ?? Number.NaN);
  });

  it('takes the listed peaks as they are', () => {
    expect(peaks([5e-7, 3e-7, 1e-7], 3)).toEqual([5e-7, 5e-7, 3e-7, 1e-7]);
  });

  it('refuses a list of another length than the run', () => {
    expect(() => iterationLearningRate([5e-7, 1e-7], 1, 3, 5e-7)).toThrow(
      expect.objectContaining({ code: 'LEARNING_RATE_CYCLE_LENGTH' }),
    );
  });

  it('refuses an iteration outside of the run', () => {
    for (const iteration of [-1, 4, 1.5]) {
      expect(() => iterationLearningRate('constant', iteration, 3, 5e-7)).toThrow(
        expect.objectContaining({ code: 'ITERATION_INVALID' }),
      );
    }
  });
});
