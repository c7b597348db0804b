import { expect, test } from 'vitest';
import { type Candidate, type RankItem, rankingFromScores } from './ranker.ts';
import { logOddsOver, rewardsOf, winProbabilities, winsOver } from './win-probability.ts';

const y = (sampleIndex: number): Candidate => ({ kind: 'response', sampleIndex, text: `y${sampleIndex}` });
const y_w: Candidate = { kind: 'chosen', sampleIndex: null, text: 'w' };
const item = (...candidates: Candidate[]): RankItem => ({
  promptId: 'p',
  prompt: { kind: 'text', text: 'x' },
  candidates,
});

test('a candidate wins by the logistic of the score differences to the samples, one half against itself', () => {
  // Scores ln 3 and 0: sigma(ln 3) = 3/4, and 1/4 the other way.
  const [first, second] = winProbabilities(item(y(0), y(1)), rankingFromScores('p', [Math.log(3), 0]));
  expect(first).toBeCloseTo((0.5 + 0.75) / 2, 14);
  expect(second).toBeCloseTo((0.25 + 0.5) / 2, 14);
});

test("the data's responses are judged, but are nobody's opponents", () => {
  const probabilities = winProbabilities(item(y(0), y_w), rankingFromScores('p', [0, Math.log(3)]));
  expect(probabilities[0]).toBe(0.5);
  expect(probabilities[1]).toBeCloseTo(0.75, 14);
});

test('an order alone counts wins, and one half for a tie', () => {
  const ranking = { promptId: 'p', scores: null, order: [2, 0, 1], ties: [[0, 1]] };
  expect(winProbabilities(item(y(0), y(1), y(2)), ranking)).toEqual([1 / 3, 1 / 3, (1 + 1 + 0.5) / 3]);
});

test('there is none without a verdict or without samples', () => {
  expect(winProbabilities(item(y_w), rankingFromScores('p', [1]))).toEqual([]);
  const problem = { promptId: 'p', scores: null, order: [], ties: [], problem: 'no answer' };
  expect(winProbabilities(item(y(0), y_w), problem)).toEqual([]);
});

test('a judge that compares says the probability itself, in whichever order and for equal texts alike', () => {
  const judgements = [
    { shown: [0, 1], value: 0.9, answerKey: 'a' },
    { shown: [1, 0], value: 0.3, answerKey: 'b' },
    { shown: [0, 2], value: 0.6, answerKey: 'c' },
  ];
  const candidates = [y(0), y_w, y(1), { ...y(2), text: 'y0' }]; // y2 is y0 word for word, 2 was never shown with 1
  const ranking = { ...rankingFromScores('p', [0.7, 0.2, 0.4, 0.7]), judgements };
  const probabilities = winProbabilities(item(...candidates), ranking);
  // y0 against y0, y1 and y2: one half, 0.6, one half.
  expect(probabilities[0]).toBeCloseTo((0.5 + 0.6 + 0.5) / 3, 14);
  expect(probabilities[3]).toBe(probabilities[0]);
  // w against y0 twice: the mean of 1 - 0.9 and 0.3; against y1, which it never met: 0.5 + (0.2 - 0.4) / 2.
  expect(probabilities[1]).toBeCloseTo((0.2 + 0.4 + 0.2) / 3, 14);
});

test('where people compared neighbours, their log-odds add up over the places between two texts', () => {
  const logOdds = (p: number): number => Math.log(p / (1 - p));
  const judgements = [
    { shown: [1, 0], value: 0.8, answerKey: 'a' },
    { shown: [2, 0], value: 0.3, answerKey: 'b' },
    { shown: [3, 0], value: 0.5, answerKey: 'c' },
  ];
  const candidates = [y(0), y(1), y(2), y(3)];
  const ranking = { promptId: 'p', scores: null, order: [1, 0, 3, 2], ties: [[0, 3]], judgements };
  const best = winsOver(candidates, ranking, [1, 2]);
  expect(logOdds(best)).toBeCloseTo(logOdds(0.8) + logOdds(0.7), 12);
  expect(winsOver(candidates, ranking, [2, 1])).toBeCloseTo(1 - best, 12);
  expect(winsOver(candidates, ranking, [1, 0])).toBe(0.8);
  expect(winsOver(candidates, ranking, [1, 3])).toBeCloseTo(0.8, 12);
});

test('rewards of a judge that compares differ by its log-odds, and those of scores are the scores', () => {
  const candidates = [y(0), y(1)];
  const judgements = [
    { shown: [0, 1], value: 0.9, answerKey: 'a' },
    { shown: [1, 0], value: 0.1, answerKey: 'b' },
  ];
  const [a = 0, b = 0] = rewardsOf(candidates, { ...rankingFromScores('p', [0.9, 0.1]), judgements });
  expect(a - b).toBeCloseTo(Math.log(9), 12);
  expect(rewardsOf(candidates, rankingFromScores('p', [0.9, 0.1]))).toEqual([0.9, 0.1]);
});

test('what only orders is taken at its word up to 99:1, and ties are worth the same', () => {
  const ranking = { promptId: 'p', scores: null, order: [2, 0, 1], ties: [[0, 1]] };
  const [a, b, c = 0] = rewardsOf([y(0), y(1), y(2)], ranking);
  expect(logOddsOver([y(0), y(1), y(2)], ranking, [2, 0])).toBeCloseTo(Math.log(99), 12);
  expect([a, b]).toEqual([a, a]);
  expect(c - (a ?? 0)).toBeCloseTo(Math.log(99), 12);
});
