import { expect, test } from 'vitest';
import { combineOrders, type Outcome, pairsToCompare, questionCount, scoresOf, showings } from './rounds.ts';

test('pairsToCompare() is a full round robin, or all against one', () => {
  expect(pairsToCompare(3, 'all', 1)).toEqual([
    [0, 1],
    [0, 2],
    [1, 2],
  ]);
  expect(pairsToCompare(3, 'one', 1)).toEqual([
    [1, 0],
    [1, 2],
  ]);
  expect(pairsToCompare(1, 'all', 0)).toEqual([]);
});

test('showings() with orders both are the two orders; random is one, the same wherever the two texts meet, and even', () => {
  expect(showings([0, 1], 'both', { texts: ['x', 'y'], prompt: '' })).toEqual([
    { first: 0, second: 1 },
    { first: 1, second: 0 },
  ]);
  const shownFirst = (a: string, b: string): string => {
    const [only, more] = showings([0, 1], 'random', { texts: [a, b], prompt: '' });
    expect(more).toBeUndefined();
    return only?.first === 0 ? a : b;
  };
  const pairs = Array.from({ length: 400 }, (_, i) => [`text ${i}`, `other ${i}`] as const);
  for (const [a, b] of pairs) expect(shownFirst(a, b)).toBe(shownFirst(b, a));
  const straight = pairs.filter(([a, b]) => shownFirst(a, b) === a).length;
  // 200 expected, standard deviation 10: four of them.
  expect(Math.abs(straight - 200)).toBeLessThan(40);
});

test('showings() as alpaca_eval draw the order by the prompt alone', () => {
  const shownFirst = (prompt: string) => showings([0, 1], 'alpaca-eval', { texts: ['x', 'y'], prompt })[0]?.first;
  // The first uniform number of Python's random.Random('is_switched_outputs' + prompt + '0') is 0.58, and 0.04.
  expect(['What are the names?', 'prompt 4'].map(shownFirst)).toEqual([1, 0]);
});

const seen = (first: number, second: number, preference: number, form: Outcome['form']): Outcome => ({
  first,
  second,
  preference,
  form,
});

test.each([
  ['a wins in both orders', [seen(0, 1, 1, 'verdict'), seen(1, 0, 0, 'verdict')], 1],
  ['b wins in both orders', [seen(0, 1, 0, 'verdict'), seen(1, 0, 1, 'verdict')], 0],
  ['the orders disagree', [seen(0, 1, 1, 'verdict'), seen(1, 0, 1, 'verdict')], 0.5],
  ['a win and a tie', [seen(0, 1, 1, 'verdict'), seen(1, 0, 0.5, 'verdict')], 0.5],
  ['probabilities are averaged', [seen(0, 1, 0.75, 'soft'), seen(1, 0, 0.5, 'soft')], 0.625],
  ['a probability among verdicts counts by its side', [seen(0, 1, 0.75, 'soft'), seen(1, 0, 0, 'verdict')], 1],
  ['one order alone', [seen(1, 0, 0.25, 'soft')], 0.75],
])('combineOrders(): %s', (_, outcomes, expected) => {
  expect(combineOrders([0, 1], outcomes)).toBe(expected);
});

test('scoresOf() is the mean preference over those that a response met', () => {
  const results: { pair: [number, number]; preference: number }[] = [
    { pair: [0, 1], preference: 1 },
    { pair: [0, 2], preference: 0.5 },
    { pair: [1, 2], preference: 0.25 },
  ];
  expect(scoresOf(4, results)).toEqual([0.75, 0.125, 0.625, 0.5]);
});

test.each([
  [{ kind: 'pairwise', orders: 'both', opponents: 'all' }, 12],
  [{ kind: 'pairwise', orders: 'random', opponents: 'all' }, 6],
  [{ kind: 'pairwise', orders: 'both', opponents: 'one' }, 6],
  [{ kind: 'rating' }, 4],
] as const)('questionCount() about four responses of %j', (task, expected) => {
  expect(questionCount(4, task)).toBe(expected);
});
