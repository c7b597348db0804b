import { describe, expect, it } from 'vitest';
import { bestOf, standingOf, worseInARow } from './selection.ts';

/** Policies that score these means on 40 items, with the same small differences between items. */
function policies(...means: number[]): Map<number, Map<string, number[]>> {
  const items = Array.from({ length: 40 }, (_, i) => i);
  return new Map(
    means.map((value, iteration) => [
      iteration,
      new Map(items.map((i) => [`p${i}`, [value + (i % 4) * 0.01 + ((i * (iteration + 3)) % 5) * 0.01]])),
    ]),
  );
}

const rule = { by: 'interval', seed: 1 } as const;

describe('bestOf', () => {
  it('is the iteration with the highest mean, of equal ones the earliest', () => {
    expect(bestOf(policies(0.1, 0.5, 0.9, 0.3))).toBe(2);
    const same = new Map([0, 1].map((iteration) => [iteration, new Map([['p', [1]]])]));
    expect(bestOf(same)).toBe(0);
    expect(bestOf(new Map())).toBeNull();
  });

  it('compares on the items that all have', () => {
    const scores = new Map([
      [
        1,
        new Map([
          ['a', [1]],
          ['b', [0]],
        ]),
      ],
      [2, new Map([['b', [0.5]]])],
    ]);
    expect(bestOf(scores)).toBe(2);
  });
});

describe('standingOf', () => {
  it('says worse where the paired interval lies below 0, against the best before it', () => {
    expect(standingOf(policies(0.1, 0.9, 0.5), { ...rule, iteration: 2 })).toMatchObject({ best: 1, isWorse: true });
    expect(standingOf(policies(0.1, 0.5, 0.9), { ...rule, iteration: 2 })).toMatchObject({ best: 1, isWorse: false });
    expect(standingOf(policies(0.9, 0.5), { ...rule, iteration: 1 })).toMatchObject({ best: 0, isWorse: true });
    expect(standingOf(policies(0.9), { ...rule, iteration: 0 })).toBeNull();
  });

  it('never says worse from fewer than twenty items by their interval, and does by a number', () => {
    const few = new Map([...policies(0.9, 0.1)].map(([t, scores]) => [t, new Map([...scores].slice(0, 19))]));
    expect(standingOf(few, { ...rule, iteration: 1 })).toMatchObject({ isWorse: false, difference: { count: 19 } });
    expect(standingOf(few, { iteration: 1, by: 0.5, seed: 1 })?.isWorse).toBe(true);
    expect(standingOf(few, { iteration: 1, by: 0.9, seed: 1 })?.isWorse).toBe(false);
  });
});

it('worseInARow counts back to the last iteration that was not worse', () => {
  expect(worseInARow(policies(0.1, 0.9, 0.5, 0.4), { ...rule, iteration: 3 })).toBe(2);
  expect(worseInARow(policies(0.1, 0.5, 0.9, 0.4), { ...rule, iteration: 3 })).toBe(1);
  expect(worseInARow(policies(0.1, 0.2, 0.3, 0.4), { ...rule, iteration: 3 })).toBe(0);
});
