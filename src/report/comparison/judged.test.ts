/** @file AlpacaEval and MT-Bench of runs, as columns of the table of models. */
import { expect, it } from 'vitest';
import type { BenchmarkScores } from '../../store/benchmark-scores.ts';
import { comparisonMarkdown } from './comparison.ts';
import { armOf, comparisonOf, runOf, scoresOf } from './comparison-fixture.testing.ts';
import { judgedNumbers } from './judged.ts';

const rewards = [0, 0.5, 1];

function judged(winRates: readonly number[], ratings: readonly number[]): BenchmarkScores[] {
  return [
    {
      ...scoresOf('alpaca_eval', winRates),
      mainMetric: 'win_rate',
      scores: { win_rate: [...winRates], length: [10, 20, 31] },
    },
    {
      ...scoresOf('mt_bench', ratings),
      mainMetric: 'average',
      scores: { average: [...ratings], turn1: [...ratings], turn2: [Number.NaN, 4, 6] },
    },
  ];
}

const run = (seed: number, winRates: readonly number[], ratings: readonly number[]) =>
  runOf(seed, { base: rewards, last: rewards, benchmarks: [{ iteration: 1, scores: judged(winRates, ratings) }] });
const data = comparisonOf([armOf('selm', [run(1, [0, 0.5, 1], [5, 6, 7]), run(2, [0.5, 0.5, 1], [7, 6, 7])])]);
const model = { arm: 'selm', label: 'selm', iteration: 1 };

it('are means over instructions and questions, each over the seeds; what was not rated counts nowhere', () => {
  const found = judgedNumbers(data, model);
  // Instructions 1 to 3 are 0.25, 0.5 and 1; questions 6, 6 and 7.
  expect(found.winRate?.value).toBeCloseTo(1.75 / 3, 12);
  expect(found.average?.value).toBeCloseTo(19 / 3, 12);
  expect(found.turn2).toMatchObject({ value: 5, count: 2 });
  expect(found.lengthControlled).toBeNull();
  expect(judgedNumbers(data, { arm: null, label: 'base', iteration: 0 }).winRate).toBeNull();
});

it('stand in the table of models with interval, n and average length, and not among the public benchmarks', () => {
  const text = comparisonMarkdown(data);
  expect(text).toMatch(/\| 58\.33 \(\[\d+\.\d\d, \d+\.\d\d\]; n = 3; 20 characters\) \|/);
  expect(text).toMatch(/\| 6\.33 \(\[6\.00, 7\.00\]; n = 3\) \|/);
  expect(text).not.toContain('## Public benchmarks');
});
