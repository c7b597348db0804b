/** @file OpenBookQA (Mihaylov et al. 2018, https://arxiv.org/abs/1809.02789): questions that a small fact and common sense answer. */
import type { Benchmark } from '../benchmark.ts';
import { oneRightChoice, readChoices } from './choices.ts';

/** 10 examples; the fact is not shown. The SELM paper's figures are at the level of plain accuracy. */
export const openBookQa: Benchmark = {
  name: 'openbookqa',
  title: 'OpenBookQA',
  shots: 10,
  examples: {
    kind: 'drawn',
    from: { hub: 'hub:allenai/openbookqa:main/train-*.parquet', file: /^train/ },
    rule: 'others',
  },
  rows: { hub: 'hub:allenai/openbookqa:main/test-*.parquet', file: /^test/ },
  mainMetric: 'acc',
  readItem(row) {
    const text = row.question_stem ?? row.question;
    if (typeof text !== 'string') return { problem: 'it has no question_stem' };
    const choices = readChoices(row);
    if ('problem' in choices) return choices;
    return { text, target: choices.choices[choices.gold] ?? null, question: oneRightChoice(choices) };
  },
};
