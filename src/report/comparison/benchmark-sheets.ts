/** @file The tables of benchmarks in a comparison: every model as in the paper's Table 2, and arms against the baseline. Pure. */
import { mean } from '../../evaluate/statistics.ts';
import { fixed, signedInterval } from '../findings.ts';
import { type Cell, EMPTY, plain, type Sheet } from '../sheet.ts';
import type { ComparisonData } from './comparison-data.ts';
import { benchmarkComparisons } from './differences.ts';
import { type BenchmarkNumbers, benchmarkRows } from './numbers.ts';
import { pText } from './sentences.ts';
import { bracket, modelName, SIDE } from './sheets.ts';

/** Every arm against the baseline on every benchmark that both have; null where there is none. */
export function benchmarkDifferencesSheet(data: ComparisonData): Sheet | null {
  const comparisons = benchmarkComparisons(data);
  const [first] = comparisons;
  if (first === undefined) return null;
  const several = comparisons.some(({ overSeeds }) => overSeeds !== null);
  return {
    caption: `Every arm against ${first.baselineLabel} on benchmarks`,
    explanation: `Last iterations, paired by item${several ? ' and by seed' : ''}. p of the sign-flip test over items, which for right and wrong answers is McNemar's exact test${several ? '; with several seeds the larger of it and of Student’s test over seeds' : ''}. Corrected by Holm for ${comparisons.length} ${comparisons.length === 1 ? 'comparison' : 'comparisons'} of arms and benchmarks.`,
    head: [
      plain('benchmark'),
      plain('arm'),
      { text: 'difference', hint: `from ${first.baselineLabel}` },
      { text: 'items', hint: 'better · worse' },
      plain('p'),
      { text: 'p', hint: 'corrected' },
      plain('verdict'),
    ],
    rows: comparisons.map((comparison) => ({
      name: { text: comparison.title, hint: comparison.metric },
      cells: [
        plain(comparison.label),
        { text: signedInterval(comparison.difference), hint: `n = ${comparison.difference.count} items` },
        plain(`${comparison.better} · ${comparison.worse}`),
        plain(pText(comparison.p)),
        plain(pText(comparison.pCorrected)),
        plain(SIDE[comparison.side]),
      ],
    })),
  };
}

/** Table 2; null where nothing was asked. */
export function benchmarksSheet(data: ComparisonData): Sheet | null {
  const rows = benchmarkRows(data).filter(({ benchmarks }) => benchmarks.some(isAccuracy));
  // What judges say is in a table of its own, as in the paper.
  const all = rows.flatMap(({ benchmarks }) => benchmarks).filter(isAccuracy);
  const kinds = [...new Map(all.map((each) => [kindOf(each), each])).values()];
  if (kinds.length === 0) return null;
  return {
    caption: 'Public benchmarks',
    explanation:
      'As lm-evaluation-harness defines them. Means over items, of each item over the seeds; brackets are 95 % bootstrap intervals over items, changes against the base are paired by item.',
    head: [
      plain('model'),
      ...kinds.map((kind) => ({
        text: kind.title,
        hint: `${kind.metric}, ${kind.shots === 0 ? 'no examples' : `${kind.shots} examples`}`,
      })),
      ...(kinds.length > 1 ? [{ text: 'average', hint: `of ${kinds.map(({ title }) => title).join(', ')}` }] : []),
    ],
    rows: rows.map((row) => {
      const found = kinds.map((kind) => row.benchmarks.find((each) => kindOf(each) === kindOf(kind)) ?? null);
      const values = found.flatMap((each) => each?.value.value ?? []);
      const average = values.length === kinds.length ? fixed(mean(values), 3) : '';
      return {
        name: modelName(row),
        cells: [...found.map(benchmarkCell), ...(kinds.length > 1 ? [plain(average)] : [])],
      };
    }),
  };
}

/** A judge's win rate or rating is on another scale than shares of right answers. */
function isAccuracy({ benchmark }: BenchmarkNumbers): boolean {
  return benchmark !== 'alpaca_eval' && benchmark !== 'mt_bench';
}

function kindOf({ benchmark, shots }: BenchmarkNumbers): string {
  return `${benchmark} ${shots}`;
}

function benchmarkCell(numbers: BenchmarkNumbers | null): Cell {
  if (numbers === null) return EMPTY;
  const { value, change } = numbers;
  const changed = change === null ? '' : `\n${signedInterval(change)} vs base`;
  return { text: fixed(value.value, 3), hint: `${bracket(value)}, n = ${value.count}${changed}` };
}
