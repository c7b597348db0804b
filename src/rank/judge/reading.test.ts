import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PairLabels } from './prompt.ts';
import {
  type JudgeAnswer,
  parseCompletion,
  parseUsage,
  readLogProbs,
  readPair,
  readRating,
  readVerdict,
} from './reading.ts';
import { completion } from './server.testing.ts';

const brackets: PairLabels = { first: '[[A]]', second: '[[B]]', tie: '[[C]]', abstain: null };
const letters: PairLabels = { first: 'm', second: 'M', tie: null, abstain: null };

function said(text: string, firstToken: Record<string, number> | null = null): JudgeAnswer {
  return { text, finish: 'stop', firstToken: firstToken === null ? null : new Map(Object.entries(firstToken)) };
}

/** Value of a verdict, or what it is instead. */
function verdictOf(text: string, labels: PairLabels): number | string {
  const reading = readVerdict(said(text), labels);
  return reading.kind === 'value' ? reading.value : reading.kind;
}

// Rows 0, 3, 34 and 15 of a published AlpacaEval run (annotations of gpt-4-turbo as judge): log-probabilities of m and M,
// whether the order was switched, and the preference in [1, 2] that AlpacaEval computed from them.
test.each([
  [-15.515626, -6.704e-7, true, 1.0000001827],
  [-8.7763e-6, -11.796884, false, 1.000007528],
  [-0.61807424, -0.77432424, false, 1.4610167793],
  [-0.0001139139, -9.0938635, false, 1.0001123533],
])('readLogProbs() of m %f and M %f is what AlpacaEval published', (m, M, switched, published) => {
  const reading = readLogProbs(said('m', { m, M }), letters);
  if (reading?.kind !== 'value') throw new Error('no value');
  // AlpacaEval's 1 is that the first shown wins, ours is the probability of that; published to ten decimals.
  const preference = 2 - reading.value;
  expect(switched ? 3 - preference : preference).toBeCloseTo(published, 9);
});

test('readLogProbs() takes exact tokens only, counts a missing one as 0, and is null without any', () => {
  expect(readLogProbs(said('m', { m: -0.1, ' M': -1 }), letters)).toMatchObject({ value: 1 });
  expect(readLogProbs(said('m', { ' m': -0.1, x: -1 }), letters)).toBeNull();
  expect(readLogProbs(said('m'), letters)).toBeNull();
});

test('readLogProbs() gives half of a tie to each, and abstains where that is likelier than all verdicts', () => {
  const labels = { first: 'A', second: 'B', tie: 'C', abstain: 'D' };
  const thirds = { A: Math.log(0.5), B: Math.log(0.1), C: Math.log(0.2), D: Math.log(0.1) };
  expect(readLogProbs(said('A', thirds), labels)).toMatchObject({ value: 0.6 / 0.8, form: 'soft' });
  expect(readLogProbs(said('D', { A: Math.log(0.4), D: Math.log(0.6) }), labels)).toEqual({ kind: 'abstained' });
});

test.each([
  ['[[A]]', brackets, 1],
  ['Assistant B rambles. [[A]]', brackets, 1],
  ['If A were better I would say [[A]]. My verdict: [[B]]', brackets, 0],
  ['Equal. [[C]]\n', brackets, 0.5],
  ['A', brackets, 'unreadable'],
  ['', brackets, 'unreadable'],
  ['m', letters, 1],
  [' **M**. ', letters, 0],
  ['"m"', letters, 1],
  ['Model m is better', letters, 'unreadable'],
  ['mM', letters, 'unreadable'],
] as const)('readVerdict() of %j', (text, labels, expected) => {
  expect(verdictOf(text, labels)).toBe(expected);
});

test('readPair() reads the text where log-probabilities are missing, unless they are required', () => {
  expect(readPair(said('m', { m: -1, M: -1 }), letters, 'auto')).toMatchObject({ value: 0.5, form: 'soft' });
  expect(readPair(said('M'), letters, 'auto')).toMatchObject({ value: 0, form: 'verdict' });
  expect(readPair(said('M', { m: -1, M: -1 }), letters, 'text')).toMatchObject({ value: 0, form: 'verdict' });
  expect(readPair(said('M'), letters, 'log-probabilities')).toMatchObject({ kind: 'unreadable' });
});

test.each([
  ['Rating: [[5]]', 5],
  ['[[7.5]] or maybe [[2]]', 7.5],
  ['I give it a [3]', 3],
  ['[1] source. Rating: [[9]]', 9],
  ['Rating: [[11]]', 'unreadable'],
  ['Rating: 5', 'unreadable'],
  ['[[-3]]', 'unreadable'],
] as const)('readRating() of %j', (text, expected) => {
  const reading = readRating(said(text), { low: 1, high: 10 });
  expect(reading.kind === 'value' ? reading.value : reading.kind).toBe(expected);
});

test('an answer that was cut says what to raise', () => {
  const reading = readVerdict({ ...said('Let me think about'), finish: 'length' }, brackets);
  expect(reading).toMatchObject({ reason: expect.stringContaining('raise maxTokens') });
});

test('parseCompletion() and parseUsage() take whatever a server may send without throwing, and invent nothing', () => {
  const nonsense = fc.oneof(
    fc.string(),
    fc.json(),
    fc.object().map((value) => JSON.stringify({ choices: [value], usage: value })),
  );
  fc.assert(
    fc.property(nonsense, (body) => {
      expect(parseCompletion(body)).toHaveProperty('problem');
      expect(parseUsage(body)).toBeNull();
    }),
    { numRuns: 300, seed: 1 },
  );
  for (const body of [completion('A').replace('"A"', '7'), completion('m', { m: 0.5 }), completion('A').slice(0, -3)])
    expect(parseCompletion(body)).toHaveProperty('problem');
  expect(parseCompletion(completion(null))).toMatchObject({ text: '' });
  expect(parseCompletion(completion('m', { m: -0.1, M: -3 }))).toMatchObject({
    text: 'm',
    firstToken: new Map([
      ['m', -0.1],
      ['M', -3],
    ]),
  });
  expect(parseUsage(completion('m'))).toEqual({ promptTokens: 100, completionTokens: 10 });
});
