import { expect, test } from 'vitest';
import { answerEntropy, PROMPT_ORDERS, promptValue, winInterval } from './prompts.ts';

const belief = (mean: number, half = 0) => ({ mean, lower: mean - half, upper: mean + half });

test('each order puts first what its name says', () => {
  const prompts = {
    close: { pair: [belief(1), belief(1.1)], entropy: 2, information: 0.1 },
    far: { pair: [belief(-3), belief(3)], entropy: 1, information: 0.3 },
    unknown: { pair: [belief(0, 4), belief(1, 4)], entropy: 3, information: 0.2 },
  } as const;
  const first = (order: (typeof PROMPT_ORDERS)[number]): string | undefined =>
    Object.entries(prompts).sort(([, a], [, b]) => promptValue(order, b) - promptValue(order, a))[0]?.[0];
  expect(Object.fromEntries(PROMPT_ORDERS.map((order) => [order, first(order)]))).toMatchObject({
    entropy: 'unknown',
    'small-gap': 'close',
    'large-gap': 'far',
    doubt: 'unknown',
    information: 'far',
  });
});

test('a label tells most of a calibration where the odds are 92:8, and nothing where they are even', () => {
  const nothingElse = { entropy: 0, information: 0 };
  const value = (gap: number): number => promptValue('calibration', { ...nothingElse, pair: [belief(gap), belief(0)] });
  expect(value(0)).toBe(0);
  const gaps = Array.from({ length: 600 }, (_, n) => n / 100);
  const best = gaps.reduce((most, gap) => (value(gap) > value(most) ? gap : most));
  expect(1 / (1 + Math.exp(-best))).toBeCloseTo(0.917, 2);
  expect(value(-best)).toBeCloseTo(value(best), 12);
});

test('of a ranker that is half as sure as it says, it is the wider gap that tells most', () => {
  const pair = (gap: number) => ({ pair: [belief(gap), belief(0)] as const, entropy: 0, information: 0 });
  const value = (gap: number, slope: number): number => promptValue('calibration', { ...pair(gap), slope });
  // 92:8 by the calibrated odds.
  expect([value(2.4, 1) > value(4.8, 1), value(2.4, 0.5) > value(4.8, 0.5)]).toEqual([true, false]);
});

test('the interval of a win probability is that of the most and the least favourable rewards', () => {
  const [low, high] = winInterval(belief(1, 1), belief(0, 1));
  expect([low, high]).toEqual([expect.closeTo(1 / (1 + Math.E), 12), expect.closeTo(1 / (1 + Math.exp(-3)), 12)]);
});

test('entropy is the mean surprise of the answers: ln 2 where each has probability one half', () => {
  expect(answerEntropy([Math.log(0.5), Math.log(0.5)])).toBeCloseTo(Math.LN2, 12);
  expect(answerEntropy([])).toBe(0);
});
