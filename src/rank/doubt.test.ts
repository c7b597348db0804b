import { expect, test } from 'vitest';
import { bothOrders, doubtOf, inDoubt } from './doubt.ts';
import type { Judgement } from './ranker.ts';

const judged = (first: number, second: number, value: number | null): Judgement => ({
  shown: [first, second],
  value,
  answerKey: `${first}${second}`,
});

test('bothOrders() tells for each pair that was shown both ways whether the same one won', () => {
  const judgements = [
    judged(0, 1, 1), // 0 wins both times
    judged(1, 0, 0.25),
    judged(0, 2, 1), // the first shown wins both times
    judged(2, 0, 1),
    judged(1, 2, 0.5), // a tie both times
    judged(2, 1, 0.5),
    judged(0, 3, 1), // one order had no verdict
    judged(3, 0, null),
    judged(1, 3, 1), // one order was not asked
  ];
  expect(bothOrders(judgements)).toEqual([
    { pair: [0, 1], consistent: true },
    { pair: [0, 2], consistent: false },
    { pair: [1, 2], consistent: true },
  ]);
  expect(bothOrders([{ shown: [0], value: 7, answerKey: 'rating' }])).toEqual([]);
});

const clear = { scores: [1, 0.5, 0], order: [0, 1, 2], ties: [] };

test.each([
  ['a clear ranking', clear, 0.1, false],
  ['no verdict', { scores: null, order: [], ties: [], problem: 'abstained' }, 0, true],
  ['a shared best place', { scores: [1, 1, 0], order: [0, 1, 2], ties: [[0, 1]] }, 0, true],
  ['a shared place in the middle', { scores: [1, 0.5, 0.5, 0], order: [0, 1, 2, 3], ties: [[1, 2]] }, 0, false],
  ['a margin of exactly the limit', { scores: [0.5, 0.25], order: [0, 1], ties: [] }, 0.25, true],
  ['an order alone', { scores: null, order: [1, 0], ties: [] }, 10, false],
  ['orders that disagree on best and worst', { ...clear, judgements: [judged(0, 2, 1), judged(2, 0, 1)] }, 0, true],
  ['orders that disagree on others', { ...clear, judgements: [judged(0, 1, 1), judged(1, 0, 1)] }, 0, false],
])('inDoubt(): %s', (_, ranking, margin, expected) => {
  expect(inDoubt(ranking, margin)).toBe(expected);
});

test('doubt is told in percent of best over worst, and a ranker without a verdict is not sure at all', () => {
  const candidates = ['a', 'b'].map((text, sampleIndex) => ({ kind: 'response' as const, sampleIndex, text }));
  const ranking = { promptId: 'p', scores: [0, Math.log(3)], order: [1, 0], ties: [] };
  expect(doubtOf(candidates, ranking, 'the judge')).toBe('the judge is 75:25 between its best and its worst here');
  const without = { ...ranking, scores: null, order: [], problem: 'no answer' };
  expect(doubtOf(candidates, without, 'the judge')).toBe('the judge has no verdict here');
});
