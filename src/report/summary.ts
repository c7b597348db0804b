/** @file The report of a run as a few lines of plain text, for the end of a command. */
import { benchmarkLines } from './benchmarks-section.ts';
import { explorationLines } from './exploration-section.ts';
import { fixed, numbersOf, type PolicyNumbers, plainInterval, verdicts, warnings } from './findings.ts';
import { opinionLines } from './rankers-section.ts';
import type { ReportData } from './report-data.ts';

const MOST_LINES = 30;

/** The result in at most 30 lines of plain text, for the end of a command. */
export function summariseReport(data: ReportData): string {
  const methods = numbersOf(data);
  const several = methods.length > 3 ? ' (first three methods)' : '';
  const lines = [`${data.title ?? data.name}: reward is ${data.rewardName}${several}`, ''];
  const rows = [
    SUMMARY_HEAD,
    ...methods.slice(0, 1).flatMap(({ policies }) => policies.slice(0, 1).map((base) => summaryRow('base', base))),
    // All iterations where they fit, else the last ones: the end is the result.
    ...methods.slice(0, 3).flatMap(({ method, policies }) =>
      policies
        .slice(1)
        .slice(-4)
        .map((policy) => summaryRow(`${method.name.slice(0, 18)}, it. ${policy.iteration}`, policy)),
    ),
  ];
  if (data.state !== null) lines.push(`  ${data.state}`, '');
  if (rows.length > 1) lines.push(...columnsOf(rows).map((line) => `  ${line}`));
  lines.push(
    '',
    ...verdicts(data)
      .slice(0, 5)
      .map((line) => `  ${line}`),
  );
  const found = warnings(data);
  const rest = [
    ...[...explorationLines(data), ...opinionLines(data)],
    ...found.slice(0, 4).map((line) => `Warning: ${line}`),
    ...(found.length > 4 ? [`... and ${found.length - 4} more warnings in the report`] : []),
  ];
  // Benchmarks have what room the others leave.
  const room = MOST_LINES - lines.length - rest.length;
  lines.push(...[...benchmarkLines(data, room), ...rest].map((line) => `  ${line}`));
  return lines.map((line) => line.replace(/[^\P{Cc}]/gu, ' ')).join('\n');
}

const SUMMARY_HEAD = ['policy', 'mean reward [95 %]', 'win rate [95 %]', 'KL', 'tokens', 'soundness'];

function summaryRow(name: string, policy: PolicyNumbers): string[] {
  return [
    name,
    plainInterval(policy.reward),
    policy.winRate === null ? '' : plainInterval(policy.winRate),
    policy.klToBase === null ? '' : fixed(policy.klToBase.value, 2),
    fixed(policy.length.value, 1),
    policy.textHealth === null ? '' : fixed(policy.textHealth.value, 3),
  ];
}

/** Rows as lines of aligned columns: texts to the left, the last numbers to the right; columns without a value go. */
function columnsOf(rows: readonly string[][]): string[] {
  const filled = SUMMARY_HEAD.map((_, column) => rows.slice(1).some((row) => (row[column] ?? '') !== ''));
  const width = (column: number): number => Math.max(...rows.map((row) => (row[column] ?? '').length));
  return rows.map((row) =>
    row
      .flatMap((cell, column) => {
        if (filled[column] !== true) return [];
        return [column < 3 ? cell.padEnd(width(column)) : cell.padStart(width(column))];
      })
      .join('  ')
      .trimEnd(),
  );
}
