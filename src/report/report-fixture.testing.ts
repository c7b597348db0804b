/**
 * @file A small, complete ReportData for the tests: numbers from the counter-based generator around stated means. Not
 * a result of any run.
 */
import { normalAt, randomKey, uniformAt } from '../random.ts';
import type { EvaluationData } from '../store/evaluations.ts';
import type { MethodReport, ReportData, TrainingPoint } from './report-data.ts';

const PROMPTS = 64;
const SAMPLES = 2;

/** Evaluation whose rewards have about the given mean. */
export function evaluationFixture(name: string, meanReward: number, kl: number | null): EvaluationData {
  const key = randomKey(1, 'fixture', name);
  const draws = Array.from({ length: PROMPTS * SAMPLES }, (_, index) => index);
  const interval = (value: number) => ({ value, low: value * 0.9, high: value * 1.1, count: PROMPTS });
  return {
    promptIds: draws.map((index) => `prompt-${Math.floor(index / SAMPLES)}`),
    rewards: draws.map((index) => Math.min(1, Math.max(0, meanReward + 0.12 * normalAt(key, index)))),
    lengths: draws.map((index) => 60 + Math.floor(36 * uniformAt(key, 1000 + index))),
    textHealth: draws.map((index) => 1 - 0.05 * uniformAt(key, 2000 + index)),
    finishedShare: 0.9,
    diversity: { distinct: [0.2 + meanReward / 10, 0.6, 0.8], selfBleu: 0.5 },
    klToBase: kl === null ? null : interval(kl),
    klToPrevious: kl === null ? null : interval(kl / 2),
    marginsOverPrevious: null,
    greedy: null,
  };
}

/** Method whose iterations reach the given mean rewards. */
export function methodFixture(name: string, description: string, meanRewards: number[]): MethodReport {
  const key = randomKey(2, 'fixture', name);
  return {
    name,
    description,
    iterations: meanRewards.map((meanReward, index) => ({
      iteration: index + 1,
      evaluation: evaluationFixture(`${name} ${index}`, meanReward, 2.5 * (index + 1)),
    })),
    training: meanRewards.flatMap((_, index) =>
      Array.from({ length: 16 }, (_, step): TrainingPoint => {
        const noise = 0.03 * normalAt(key, index * 100 + step);
        return {
          iteration: index + 1,
          step: step + 1,
          loss: Math.LN2 - 0.012 * step + noise,
          margin: 0.03 * step + noise,
          accuracy: Math.min(1, 0.5 + 0.02 * step + noise),
          learningRate: 5e-5 * Math.min(1, step / 2) * (0.5 + 0.5 * Math.cos((Math.PI * step) / 16)),
          rewardChosen: 0.01 * step + noise,
          gradientNorm: 1.5 + noise,
        };
      }),
    ),
    sources: [],
    pairs: meanRewards.map((_, index) => ({
      iteration: index + 1,
      pairs: 250,
      chosenFrom: { response: 250, chosen: 0, rejected: 0 },
      rejectedFrom: { response: 250, chosen: 0, rejected: 0 },
      ties: 31,
      skipped: [{ reason: 'all candidates tie', count: 6 }],
    })),
    benchmarks: [],
    lengthControl: [],
    exploration: meanRewards.map((_, index) => ({
      iteration: index + 1,
      fate: { chosen: 100, rejected: 90, between: 60, noPair: 6 },
      logRatios: Array.from({ length: 40 }, (_, prompt) => normalAt(key, 9000 + 100 * index + prompt) - index),
      gradient: { pairs: 8, preference: 1.5, exploration: name === 'SELM' ? 0.03 : 0, total: 1.49 },
    })),
  };
}

/** A report of a run that was measured. */
export type MeasuredReport = ReportData & { base: EvaluationData };

/** A report on two methods; parts can be replaced. */
export function reportFixture(parts: Partial<MeasuredReport> = {}): MeasuredReport {
  return {
    formatVersion: 1,
    name: 'quickstart',
    title: 'Kind stories, by exploration',
    createdAt: '2026-01-01 12:00 UTC',
    command: 'npx selm train recipes/quickstart.yaml',
    rewardName: 'kindness of the story, 0 to 1',
    rewardRange: { low: 0, high: 1 },
    state: null,
    base: evaluationFixture('base', 0.26, null),
    best: null,
    opinions: null,
    methods: [
      methodFixture('SELM', 'alpha = 0.01', [0.34, 0.45, 0.58]),
      methodFixture('alpha = 0 twin', 'iterative DPO', [0.33, 0.42, 0.47]),
    ],
    examples: [
      {
        promptId: 'prompt-0',
        prompt: 'Once upon a time, there was a little girl named Lily. Lily met a sad friend in the park.',
        answers: [
          { by: 'base', text: 'She was scared and went to walk to her house.', reward: 0.2, textHealth: 0.98 },
          { by: 'SELM', text: 'Lily helped her friend. "Thank you," said the friend.', reward: 0.85, textHealth: 1 },
          { by: 'alpha = 0 twin', text: 'They played together and were happy.', reward: 0.42, textHealth: 1 },
        ],
      },
    ],
    settings: [
      { label: 'preference', value: 'DPO, beta 0.1' },
      { label: 'exploration', value: 'SELM, alpha 0.01' },
    ],
    machine: [{ label: 'processor', value: '2 cores' }],
    seeds: [{ label: 'run', value: '1' }],
    statisticsSeed: 1,
    timings: [
      { stage: 'sample', method: 'SELM', iteration: 1, seconds: 21.4 },
      { stage: 'train', method: 'SELM', iteration: 1, seconds: 75.2 },
    ],
    peakMemoryBytes: 412 * 2 ** 20,
    audit: 'read 768, used 768, dropped 0',
    notes: ['Alpha is far above the paper’s 0.001: at this scale smaller values cannot be seen.'],
    ...parts,
  };
}
