import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import type { BenchmarkScores } from '../store/benchmark-scores.ts';
import type { Evaluation } from '../store/evaluations.ts';
import { openLedger } from '../store/ledger.ts';
import { measuredValues } from './measured.ts';

/** Two answers to each of two prompts. */
function evaluation(rewards: number[], kl: number | null): Evaluation {
  return {
    name: 'model',
    rewardName: 'reward',
    answers: [],
    data: {
      promptIds: ['a', 'a', 'b', 'b'],
      rewards,
      lengths: [1, 2, 3, 6],
      textHealth: null,
      finishedShare: 1,
      diversity: null,
      klToBase: kl === null ? null : { value: kl, low: 0, high: 2 * kl, count: 2 },
      klToPrevious: null,
      marginsOverPrevious: null,
      greedy: null,
    },
  };
}

function benchmark(name: string, accuracy: number): BenchmarkScores {
  const measured = { standardError: 0, low: 0, high: 1, count: 1 };
  return {
    ...{ benchmark: name, title: name, shots: 0, basis: null, unusable: [], cutItems: 0, lines: [1], scores: {} },
    mainMetric: 'acc_norm',
    metrics: { acc: { value: 1, ...measured }, acc_norm: { value: accuracy, ...measured } },
  };
}

it('trackers get the means of each model, its wins over the base, and the usual metric of each benchmark', () => {
  const ledger = openLedger(join(temporaryFolder(), 'run.db'));
  onTestFinished(() => ledger.close());
  expect(measuredValues(ledger)).toEqual([]);
  ledger.putRecord(1, 'evaluation', evaluation([2, 2, 0, 0], 0.5));
  ledger.putRecord(0, 'evaluation', evaluation([1, 1, 1, 0], null));
  ledger.putRecord(1, 'benchmarks', { settings: 's', results: [benchmark('hellaswag', 0.25)] });
  ledger.putRecord(2, 'benchmarks', { settings: 's', results: [benchmark('gsm8k', Number.NaN)] });
  // On prompt a all four comparisons are won; on b two are lost and two tie: a quarter.
  expect(measuredValues(ledger)).toEqual([
    { iteration: 0, values: { reward: 0.75, length: 3 } },
    { iteration: 1, values: { reward: 1, length: 3, kl: 0.5, win_rate: 0.625, hellaswag: 0.25 } },
    { iteration: 2, values: { gsm8k: Number.NaN } },
  ]);
});
