import { expect, test } from 'vitest';
import { drawsFrom, randomKey } from '../random.ts';
import { calibrationBy } from './calibration.ts';

/** Log-odds for what won of comparisons in which P(win) = sigma(slope gap). */
function gapsOf(slope: number, count: number): number[] {
  const draw = drawsFrom(randomKey(1, 'calibration'));
  return Array.from({ length: count }, () => {
    const gap = 4 * draw();
    return draw() < 1 / (1 + Math.exp(-slope * gap)) ? gap : -gap;
  });
}

test('nobody judged yet: the ranker is taken at its word', () => {
  expect(calibrationBy([])).toEqual({ slope: 1, deviation: 1, comparisons: 0 });
});

test('one comparison: the slope is where its evidence and the prior balance', () => {
  // The derivative of log sigma(-b) - (b - 1)^2 / 2 is 0: b = 1 - sigma(b)
  const { slope: wrong } = calibrationBy([-1]);
  expect(wrong).toBeCloseTo(1 - 1 / (1 + Math.exp(-wrong)), 10);
  const { slope: right } = calibrationBy([2]);
  // b = 1 + 2 sigma(-2 b)
  expect(right).toBeCloseTo(1 + 2 / (1 + Math.exp(2 * right)), 10);
});

test('a ranker that is twice too sure of itself is found out, within two of its own deviations', () => {
  for (const truth of [0.5, 1, 1.5]) {
    const { slope, deviation } = calibrationBy(gapsOf(truth, 2000));
    expect(deviation).toBeLessThan(0.1);
    expect(Math.abs(slope - truth)).toBeLessThan(2 * deviation);
  }
});

test('a ranker whose winners lose says nothing, rather than the opposite', () => {
  expect(calibrationBy(Array.from({ length: 50 }, () => -3)).slope).toBe(0);
});
