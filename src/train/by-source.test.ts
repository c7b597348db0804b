import { expect, it } from 'vitest';
import { metricsBySource } from './by-source.ts';

const pair = (pairId: string, rewardChosen: number, rewardRejected: number) => ({
  pairId,
  objective: { rewardChosen, rewardRejected },
});

it('margins and accuracies are means over the pairs of each source', () => {
  const trees = [
    { pairId: 'a', dataset: 'prefs' },
    { pairId: 'b', dataset: 'chats' },
    { pairId: 'c', dataset: 'prefs' },
  ];
  const pairs = [pair('a', 3, 1), pair('b', 1, 2), pair('c', 1, 5)];
  expect(metricsBySource(trees, pairs)).toEqual({
    'pairs/prefs': 2,
    'rewards/margins/prefs': -1,
    'rewards/accuracies/prefs': 0.5,
    'pairs/chats': 1,
    'rewards/margins/chats': -1,
    'rewards/accuracies/chats': 0,
  });
});

it('pairs of a single source have no metrics of their own', () => {
  expect(metricsBySource([{ pairId: 'a' }], [pair('a', 3, 1)])).toEqual({});
});
