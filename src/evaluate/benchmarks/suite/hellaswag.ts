/** @file HellaSwag (Zellers et al. 2019, https://arxiv.org/abs/1905.07830): which ending goes on with a scene. */
import type { Benchmark, BenchmarkItem } from '../benchmark.ts';
import { isTexts, oneRightChoice, placeOf, readChoices, withGold } from './choices.ts';

/** 10 examples, accuracy by character, as the Open LLM Leaderboard reports it. */
export const hellaswag: Benchmark = {
  name: 'hellaswag',
  title: 'HellaSwag',
  shots: 10,
  examples: { kind: 'drawn', from: { hub: 'hub:Rowan/hellaswag:train', file: /^train/ }, rule: 'anyButItself' },
  rows: { hub: 'hub:Rowan/hellaswag:validation', file: /^val/ },
  mainMetric: 'acc_norm',
  readItem(row) {
    const found = sceneOf(row);
    if ('problem' in found) return found;
    const { text, ...choices } = found;
    return {
      text,
      target: choices.choices[choices.gold] ?? null,
      question: oneRightChoice(choices),
    } satisfies BenchmarkItem;
  },
};

type Scene = { text: string; choices: string[]; gold: number };

/** A row as on the Hub, or one whose text is made already (`query`, `choices`). */
function sceneOf(row: Readonly<Record<string, unknown>>): Scene | { problem: string } {
  const { query, activity_label, ctx_a, ctx_b, endings, label } = row;
  if (typeof query === 'string') {
    const choices = readChoices(row);
    return 'problem' in choices ? choices : { text: query, ...choices };
  }
  if (typeof activity_label !== 'string' || typeof ctx_a !== 'string' || typeof ctx_b !== 'string') {
    return { problem: 'it has no activity_label, ctx_a and ctx_b' };
  }
  const choices = withGold(isTexts(endings) ? endings.map(cleaned) : [], placeOf(label));
  if ('problem' in choices) return choices;
  return { text: cleaned(`${activity_label}: ${ctx_a} ${capitalised(ctx_b)}`), ...choices };
}

/** Without the marks that WikiHow's part of the data set has. */
export function cleaned(text: string): string {
  return text
    .trim()
    .replaceAll(' [title]', '. ')
    .replaceAll(/\[.*?\]/g, '')
    .replaceAll('  ', ' ');
}

/** As Python's capitalize(): the first letter up, all others down. */
export function capitalised(text: string): string {
  const [first = '', ...rest] = text;
  return first.toUpperCase() + rest.join('').toLowerCase();
}
