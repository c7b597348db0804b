/** @file A comparison made up for tests: arms over seeds, with rewards by prompt that the test chooses. */
import type { BenchmarkScores } from '../../store/benchmark-scores.ts';
import type { Evaluation } from '../../store/evaluations.ts';
import type { ArmPoint, ComparedArm, ComparedRun, ComparisonData } from './comparison-data.ts';

/** A measurement with one answer a prompt. */
export function evaluationOf(rewards: readonly number[], text = 'A dog ran.'): Evaluation {
  const promptIds = rewards.map((_, prompt) => `prompt-${prompt}`);
  return {
    name: '',
    rewardName: 'kindness, 0 to 1',
    data: {
      promptIds,
      rewards: [...rewards],
      lengths: rewards.map(() => 20),
      textHealth: null,
      finishedShare: 0.5,
      diversity: null,
      klToBase: null,
      klToPrevious: null,
      marginsOverPrevious: null,
      greedy: null,
    },
    answers: promptIds.map((promptId, prompt) => ({ promptId, prompt: `Dog ${prompt} saw`, text })),
  };
}

/** A run of one iteration. */
export function runOf(
  seed: number,
  {
    base,
    last,
    text,
    benchmarks = [],
    fits = new Map(),
  }: {
    base: number[];
    last: number[];
    text?: string;
    benchmarks?: ComparedRun['benchmarks'];
    fits?: ComparedRun['fits'];
  },
): ComparedRun {
  return {
    seed,
    path: `/runs/${seed}`,
    baseModel: 'stories',
    temperature: 0.7,
    evaluations: new Map([
      [0, evaluationOf(base)],
      [1, evaluationOf(last, text)],
    ]),
    benchmarks,
    fits,
    seconds: 60,
    state: null,
  };
}

export function armOf(name: string, runs: ComparedRun[], point: Partial<ArmPoint> = {}): ComparedArm {
  return { name, label: name, points: [{ label: name, settings: {}, grid: null, ...point }], runs };
}

export function comparisonOf(arms: ComparedArm[], parts: Partial<ComparisonData> = {}): ComparisonData {
  return {
    title: 'Kind stories by alpha',
    createdAt: '2026-01-01 12:00 UTC',
    rewardName: 'kindness, 0 to 1',
    baseline: arms[0]?.name ?? '',
    arms,
    implicitRewards: [],
    results: [],
    notes: [],
    statisticsSeed: 1,
    ...parts,
  };
}

/** Scores of a benchmark, one an item. */
export function scoresOf(benchmark: string, values: readonly number[]): BenchmarkScores {
  return {
    benchmark,
    title: benchmark.toUpperCase(),
    shots: 0,
    basis: null,
    mainMetric: 'acc',
    metrics: {},
    unusable: [],
    cutItems: 0,
    lines: values.map((_, item) => item + 1),
    scores: { acc: [...values] },
  };
}
