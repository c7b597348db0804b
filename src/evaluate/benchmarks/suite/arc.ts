/** @file ARC (Clark et al. 2018, https://arxiv.org/abs/1803.05457), the Challenge set: science questions from school. */
import type { Benchmark } from '../benchmark.ts';
import { oneRightChoice, readChoices } from './choices.ts';

/** 25 examples, accuracy by character, as the Open LLM Leaderboard reports it. */
export const arcChallenge: Benchmark = {
  name: 'arc_challenge',
  title: 'ARC-Challenge',
  shots: 25,
  examples: {
    kind: 'drawn',
    from: { hub: 'hub:allenai/ai2_arc:ARC-Challenge/train-*.parquet', file: /^train/ },
    rule: 'others',
  },
  rows: { hub: 'hub:allenai/ai2_arc:ARC-Challenge/test-*.parquet', file: /^test/ },
  mainMetric: 'acc_norm',
  readItem(row) {
    if (typeof row.question !== 'string') return { problem: 'it has no question' };
    const choices = readChoices(row);
    if ('problem' in choices) return choices;
    return {
      text: `Question: ${row.question}\nAnswer:`,
      target: choices.choices[choices.gold] ?? null,
      question: oneRightChoice(choices),
    };
  },
};
