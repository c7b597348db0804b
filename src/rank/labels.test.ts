import { expect, test } from 'vitest';
import { labelsOfVerdict } from './labels.ts';
import type { Candidate, Judgement } from './ranker.ts';

const candidates = ['best', 'middle', 'worst', 'other'].map(
  (text, sampleIndex): Candidate => ({ kind: 'response', sampleIndex, text }),
);

function labels(order: number[], { ties = [], judgements }: { ties?: number[][]; judgements: Partial<Judgement>[] }) {
  const verdict = {
    promptId: 'p',
    scores: null,
    order,
    ties,
    judgements: judgements.map((each) => ({ shown: [], value: 0.5, answerKey: 'k', ...each })),
  };
  return labelsOfVerdict(candidates, verdict).map(({ text, kind, isGood }) => [text, kind, isGood]);
}

test('of two that were compared the one with the better place is good and the other is bad', () => {
  expect(labels([0, 1, 2, 3], { judgements: [{ shown: [2, 0] }] })).toEqual([
    ['worst', 'response', false],
    ['best', 'response', true],
  ]);
});

test('two that were both bad are bad, and two that tie are neither', () => {
  const ties = [
    [0, 1],
    [2, 3],
  ];
  const judgements = [{ shown: [0, 1] }, { shown: [2, 3], areBothBad: true as const }];
  expect(labels([0, 1, 2, 3], { ties, judgements })).toEqual([
    ['worst', 'response', false],
    ['other', 'response', false],
  ]);
});

test('a text that won once and lost once has no label', () => {
  expect(labels([0, 1, 2, 3], { judgements: [{ shown: [0, 1] }, { shown: [1, 2] }] })).toEqual([
    ['best', 'response', true],
    ['worst', 'response', false],
  ]);
});

test('what somebody wrote in place of the better text is good', () => {
  expect(labels([0, 1, 2, 3], { judgements: [{ shown: [1, 0], edit: 'better than best' }] })).toEqual([
    ['middle', 'response', false],
    ['better than best', 'edit', true],
  ]);
});
