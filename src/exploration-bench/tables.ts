/** @file What a benchmark found, as Markdown tables. */
import { mean } from '../evaluate/statistics.ts';
import type { BenchComparison, Difference, MethodInWorld, RunScore } from './comparison.ts';
import type { BenchGrid } from './grid.ts';

/** One table over all worlds, then one a world. */
export function comparisonTables(grid: BenchGrid, { overall, inWorlds }: BenchComparison): string {
  const sections = grid.worlds.map(
    ({ name }) => `### ${name}\n\n${worldTable(inWorlds.filter(({ world }) => world === name))}`,
  );
  return `### Over all ${grid.worlds.length} worlds\n\n${overallTable(grid, overall)}\n\n${sections.join('\n\n')}\n`;
}

function overallTable(grid: BenchGrid, overall: BenchComparison['overall']): string {
  const head = `| method | seeds | area | end | below the base, % | area minus ${grid.baseline} | p (Holm) | worlds better / worse |`;
  const rows = overall.map(
    ({ method, seeds, area, end, collapsed, difference, better, worse }) =>
      `| ${method} | ${seeds} | ${area.toFixed(3)} | ${end.toFixed(3)} | ${percent(collapsed)} | ${interval(difference)} | ${probability(difference)} | ${difference === null ? '' : `${better} / ${worse}`} |`,
  );
  return [head, '| --- | --- | --- | --- | --- | --- | --- | --- |', ...rows].join('\n');
}

function worldTable(methods: readonly MethodInWorld[]): string {
  const head =
    '| method | area | end | regret | rare answers, % | KL to base | entropy | labels to half | sampled | unfound: never sampled / never chosen / out-learned | area minus baseline | p (Holm) |';
  const rows = methods.map(({ method, scores, unfound, difference }) => {
    const of = (read: (score: RunScore) => number): number => mean(scores.map(read));
    const { neverSampled, neverChosen, outLearned } = unfound;
    return `| ${method} | ${of(({ area }) => area).toFixed(3)} | ${of(({ end }) => end).toFixed(3)} | ${of(({ regret }) => regret).toFixed(3)} | ${percent(of(({ rareShare }) => rareShare))} | ${of(({ klToBase }) => klToBase).toFixed(2)} | ${of(({ entropy }) => entropy).toFixed(2)} | ${median(scores)} | ${Math.round(of(({ sampled }) => sampled))} | ${neverSampled} / ${neverChosen} / ${outLearned} | ${interval(difference)} | ${probability(difference)} |`;
  });
  return [head, `|${' --- |'.repeat(12)}`, ...rows].join('\n');
}

/** Median labels to a gain of a half, where at least half of the seeds came to it. */
function median(scores: readonly RunScore[]): string {
  const sorted = scores.map(({ labelsToHalf }) => labelsToHalf ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b);
  const middle = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.POSITIVE_INFINITY;
  return Number.isFinite(middle) ? String(middle) : 'never';
}

function interval(difference: Difference | null): string {
  if (difference === null) return '';
  const { value, low, high } = difference;
  return `${signed(value)} [${signed(low)}, ${signed(high)}]`;
}

function probability(difference: Difference | null): string {
  if (difference === null) return '';
  return difference.corrected < 0.001 ? '< 0.001' : difference.corrected.toFixed(3);
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(3)}`;
}

function percent(share: number): string {
  return (100 * share).toFixed(share < 0.01 && share > 0 ? 2 : 0);
}
