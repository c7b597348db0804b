import { expect, test } from 'vitest';
import { diversityOf } from '../evaluate/diversity.ts';
import type { Evaluation } from './evaluations.ts';
import { onCommonPrompts } from './evaluations.ts';

/** Rewards are the index, so that each shows where it came from. */
function evaluation(promptIds: string[]): Evaluation {
  return {
    name: 'x',
    rewardName: 'r',
    answers: promptIds.map((promptId) => ({ promptId, prompt: promptId, text: `answer to ${promptId}` })),
    data: {
      promptIds,
      rewards: promptIds.map((_, index) => index),
      lengths: promptIds.map((_, index) => 10 * index),
      textHealth: null,
      diversity: diversityOf(promptIds.map((promptId) => `answer to ${promptId}`)),
      finishedShare: 1,
      klToBase: null,
      klToPrevious: null,
      marginsOverPrevious: null,
      greedy: null,
    },
  };
}

test('onCommonPrompts() keeps of every measurement the prompts that all have, and counts the others', () => {
  const runs = [
    new Map([
      [0, evaluation(['a', 'a', 'b', 'c'])],
      [1, evaluation(['c', 'a', 'a'])],
    ]),
    new Map([[1, evaluation(['a', 'b', 'c'])]]),
  ];
  const { runs: common, leftOut } = onCommonPrompts(runs);
  expect(leftOut).toBe(1);
  expect(common[0]?.get(0)?.data).toMatchObject({
    promptIds: ['a', 'a', 'c'],
    rewards: [0, 1, 3],
    lengths: [0, 10, 30],
  });
  expect(common[0]?.get(1)?.data).toMatchObject({ promptIds: ['c', 'a', 'a'], rewards: [0, 1, 2] });
  expect(common[1]?.get(1)?.answers.map(({ text }) => text)).toEqual(['answer to a', 'answer to c']);
});

test('onCommonPrompts() changes nothing where all have the same', () => {
  const runs = [new Map([[0, evaluation(['a', 'b'])]])];
  expect(onCommonPrompts(runs)).toEqual({ runs, leftOut: 0 });
});
