/** @file What a benchmark found, as Markdown tables. */
import { mean } from '../evaluate/statistics.ts';
import type { BenchComparison, ComparedGrid, Difference, MethodInWorld, RunScore } from './comparison.ts';

/** One table over all worlds, then one a world. */
export function comparisonTables(grid: ComparedGrid, { overall, inWorlds }: BenchComparison): string {
  const sections = grid.worlds.map(
    ({ name }) => `### ${name}\n\n${worldTable(inWorlds.filter(({ world }) => world === name))}`,
  );
  const worlds = grid.worlds.length === 1 ? 'In the only world' : `Over all ${grid.worlds.length} worlds`;
  return `### ${worlds}\n\n${overallTable(grid, overall)}\n\n${sections.join('\n\n')}\n`;
}

function overallTable({ baseline }: ComparedGrid, overall: BenchComparison['overall']): string {
  return table(overall, [
    ['method', ({ method }) => method],
    ['seeds', ({ seeds }) => String(seeds)],
    ['area', ({ area }) => area.toFixed(3)],
    ['end', ({ end }) => end.toFixed(3)],
    ['below the base, %', ({ collapsed }) => percent(collapsed)],
    [`area minus ${baseline}`, ({ difference }) => interval(difference)],
    ['p (Holm)', ({ difference }) => probability(difference)],
    [`end minus ${baseline}`, ({ endDifference }) => interval(endDifference)],
    ['p (Holm)', ({ endDifference }) => probability(endDifference)],
    ['worlds better / worse', ({ difference, better, worse }) => (difference === null ? '' : `${better} / ${worse}`)],
  ]);
}

function worldTable(methods: readonly MethodInWorld[]): string {
  const texts = methods.some(({ scores }) => scores.some(({ text }) => text !== null));
  const meanOf =
    (read: (score: RunScore) => number | null | undefined, show: (value: number) => string) =>
    ({ scores }: MethodInWorld): string => {
      const values = scores.flatMap((score) => read(score) ?? []);
      return values.length === 0 ? '' : show(mean(values));
    };
  const digits = (count: number) => (value: number) => value.toFixed(count);
  const ofTexts: readonly Column<MethodInWorld>[] = [
    ['area by tokens', meanOf(({ text }) => text?.areaByTokens, digits(3))],
    ['tokens', meanOf(({ text }) => text?.tokens, digits(0))],
    ['distinct-2', meanOf(({ text }) => text?.distinct2, digits(3))],
    ['soundness', meanOf(({ text }) => text?.soundness, digits(3))],
    ['below the base, %', ({ collapsed }) => percent(collapsed)],
    ...benchmarksOf(methods).map(
      (name): Column<MethodInWorld> => [`${name} minus base`, meanOf(({ text }) => text?.onBenchmarks[name], signed)],
    ),
  ];
  return table(methods, [
    ['method', ({ method }) => method],
    ['area', meanOf(({ area }) => area, digits(3))],
    ['end', meanOf(({ end }) => end, digits(3))],
    ['regret', meanOf(({ regret }) => regret, digits(3))],
    ['rare answers, %', meanOf(({ rareShare }) => rareShare, percent)],
    ['KL to base', meanOf(({ klToBase }) => klToBase, digits(2))],
    ...(texts ? ofTexts : [['entropy', meanOf(({ entropy }) => entropy, digits(2))] as const]),
    ['labels to half', ({ scores }) => median(scores)],
    ['sampled', meanOf(({ sampled }) => sampled, digits(0))],
    [
      'unfound: never sampled / never chosen / out-learned',
      ({ unfound: { neverSampled, neverChosen, outLearned } }) => `${neverSampled} / ${neverChosen} / ${outLearned}`,
    ],
    ['area minus baseline', ({ difference }) => interval(difference)],
    ['p (Holm)', ({ difference }) => probability(difference)],
  ]);
}

/** Benchmarks that some run was measured on. */
function benchmarksOf(methods: readonly MethodInWorld[]): string[] {
  const names = methods.flatMap(({ scores }) => scores.flatMap(({ text }) => Object.keys(text?.onBenchmarks ?? {})));
  return [...new Set(names)];
}

/** A column: its heading, and what stands in it. */
type Column<Row> = readonly [string, (row: Row) => string];

function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const lines = [
    columns.map(([heading]) => heading),
    columns.map(() => '---'),
    ...rows.map((row) => columns.map(([, cell]) => cell(row))),
  ];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
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
