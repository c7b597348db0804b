import { expect, test } from 'vitest';
import { textLabels } from './labels.ts';
import { type Answer, type Choice, questionOf } from './questions.ts';

test('what won is good, what lost is bad, both bad are bad, and what people are divided about has no label', () => {
  const said: [string, [string, string], Choice[]][] = [
    ['won', ['a', 'b'], ['first']],
    ['bad', ['c', 'd'], ['both-bad']],
    ['divided', ['e', 'f'], ['first', 'second']],
    ['equal', ['g', 'h'], ['tie', 'skip']],
  ];
  const questions = said.map(([promptId, texts]) => questionOf({ promptId, prompt: promptId }, texts));
  const answers = said.flatMap(([, , choices], n) =>
    choices.map((choice) => ({ question: questions[n]?.id ?? '', choice }) as Answer),
  );
  expect(textLabels({ asked: new Map(questions.map((each) => [each.id, each])), answers })).toEqual([
    { promptId: 'won', text: 'a', isGood: true },
    { promptId: 'won', text: 'b', isGood: false },
    { promptId: 'bad', text: 'c', isGood: false },
    { promptId: 'bad', text: 'd', isGood: false },
  ]);
});
