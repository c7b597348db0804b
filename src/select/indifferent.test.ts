import { expect, test } from 'vitest';
import { withinBudget } from './budget.ts';
import { indifferentPrompts, LAST } from './indifferent.ts';

const ranking = (promptId: string, ties: number[][], rankerId = 'people') => ({
  promptId,
  rankerId,
  order: [0, 1],
  ties,
});

test('a prompt is last whose answers were all tied by the ranker itself, not one that it decided or another ranker tied', () => {
  const rankings = [ranking('both bad', [[0, 1]]), ranking('decided', []), ranking('a judge tied', [[0, 1]], 'judge')];
  expect(indifferentPrompts(rankings, 'people')).toEqual(new Set(['both bad']));
});

test('both bad lowers the priority of a prompt below all others, whatever its value, and drops none', () => {
  const indifferent = indifferentPrompts([ranking('b', [[0, 1]]), ranking('d', [[0, 1]])], 'people');
  const askable = ['a', 'b', 'c', 'd'].map((key, n) => ({
    key,
    labels: 1,
    value: indifferent.has(key) ? LAST : -n,
    chance: n / 4,
  }));
  const asked = (budget: number): string[] => withinBudget(askable, { budget, randomShare: 0 }).map(({ key }) => key);
  expect(asked(2)).toEqual(['a', 'c']);
  expect(asked(4)).toEqual(['a', 'c', 'b', 'd']);
});
