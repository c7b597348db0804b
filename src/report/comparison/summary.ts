/** @file A comparison as a few lines of plain text, for the end of a command. */
import { fixed, plainInterval } from '../findings.ts';
import { comparisonVerdicts } from './comparison.ts';
import type { ComparisonData } from './comparison-data.ts';
import { type ModelNumbers, modelNumbers } from './numbers.ts';

const MOST_VERDICTS = 8;

/** The base, every arm's last model, and the verdicts. */
export function summariseComparison(data: ComparisonData): string {
  const models = modelNumbers(data);
  const bases = models.filter(({ arm }) => arm === null);
  const lasts = data.arms.flatMap(({ name }) => models.findLast(({ arm }) => arm === name) ?? []);
  const head = ['model', 'seeds', 'mean reward [95 %]', 'win rate', 'n'];
  const rows = [head, ...[...bases, ...lasts].map(row)];
  const widths = head.map((_, column) => Math.max(...rows.map((cells) => (cells[column] ?? '').length)));
  const verdicts = comparisonVerdicts(data);
  const more = verdicts.length - MOST_VERDICTS;
  return [
    `${data.title}: reward is ${data.rewardName}`,
    '',
    ...rows.map((cells) => `  ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd()),
    '',
    ...verdicts.slice(0, MOST_VERDICTS).map((line) => `  ${line}`),
    ...(more > 0 ? [`  ... and ${more} more in the comparison`] : []),
    ...data.notes.slice(0, 4).map((line) => `  Note: ${line}`),
  ]
    .map((line) => line.replace(/[^\P{Cc}]/gu, ' '))
    .join('\n');
}

function row({ label, iteration, seeds, reward, winRate }: ModelNumbers): string[] {
  const name = iteration === 0 ? label : `${label}, iteration ${iteration}`;
  return [
    name,
    String(seeds),
    plainInterval(reward),
    winRate === null ? '' : fixed(winRate.value, 3),
    String(reward.count),
  ];
}
