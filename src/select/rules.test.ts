/** @file The rules of selection against numpy (scripts/fixtures/selection.py), and those with chance by what they promise. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Belief } from './rule.ts';
import { RULES, type SelectRuleName } from './rules.ts';

const file = new URL('../../test/fixtures/selection/picks.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as {
  cases: { beliefs: Belief[]; uniforms: number[]; picks: Record<string, [number, number]> }[];
};

/** Numbers that look drawn; the tests need none better. */
function draws(): () => number {
  let state = 11;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

describe.each(cases.map((each, index) => ({ ...each, index })))('of beliefs $index', ({ beliefs, uniforms, picks }) => {
  it.each(Object.entries(picks))('%s picks what numpy says', (name, expected) => {
    let next = 0;
    const pick = RULES[name as SelectRuleName](beliefs, () => uniforms[next++] ?? Number.NaN);
    // Symmetric rules: the order of the two says nothing.
    expect(new Set(pick)).toEqual(new Set(expected));
  });

  it.each(Object.keys(RULES))('%s picks two different answers', (name) => {
    const draw = draws();
    for (let time = 0; time < 50; time++) {
      const [first, second] = RULES[name as SelectRuleName](beliefs, draw);
      expect(first).not.toBe(second);
      for (const index of [first, second]) expect(beliefs[index]).toBeDefined();
    }
  });
});

const sure = (mean: number): Belief => ({ mean, lower: mean, upper: mean });
const unsure = (mean: number): Belief => ({ mean, lower: mean - 3, upper: mean + 3 });

it('random picks every pair about as often', () => {
  const draw = draws();
  const counts = new Map<string, number>();
  for (let time = 0; time < 6000; time++) {
    const pick = RULES.random([sure(0), sure(5), sure(9)], draw).join();
    counts.set(pick, (counts.get(pick) ?? 0) + 1);
  }
  expect(counts.size).toBe(6);
  // Four standard errors of a count of 1,000.
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(120);
});

it('double Thompson sampling asks about answers that may be best, the reverse about one that may be worst', () => {
  const beliefs = [sure(-2), unsure(2), unsure(2.5), sure(-1.9)];
  const draw = draws();
  for (let time = 0; time < 100; time++) {
    expect(RULES['double-thompson'](beliefs, draw).toSorted()).toEqual([1, 2]);
    expect([0, 3, 1, 2]).toContain(RULES['double-reverse-thompson'](beliefs, draw)[1]);
  }
  expect(RULES['double-reverse-thompson']([sure(0), sure(1), sure(2)], draw)).toEqual([2, 0]);
});
