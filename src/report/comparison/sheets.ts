/**
 * @file The tables of a comparison, once for HTML and for Markdown: models over their iterations as in the paper's Table 1,
 * arms against the baseline, benchmarks as in its Table 2. Pure.
 */
import { type Interval, mean } from '../../evaluate/statistics.ts';
import { fixed, percent, signedInterval } from '../findings.ts';
import { type Cell, EMPTY, plain, type Sheet } from '../sheet.ts';
import type { ComparisonData } from './comparison-data.ts';
import { type ArmComparison, armComparisons, benchmarkComparisons, type Side } from './differences.ts';
import { type BenchmarkNumbers, benchmarkRows, type ModelNumbers, modelNumbers } from './numbers.ts';
import type { PlacedResults } from './result-files.ts';
import { pText } from './sentences.ts';

interface Column {
  head: Cell;
  cell(model: ModelNumbers, beside: { base: ModelNumbers | undefined; results: readonly PlacedResults[] }): Cell;
}

/** Table 1: every model in numbers; columns that no model has a value in are left out. */
export function modelsSheet(data: ComparisonData): Sheet {
  const models = modelNumbers(data);
  const base = models.find(({ arm }) => arm === null);
  const resultsOf = ({ arm, iteration }: ModelNumbers): PlacedResults[] =>
    data.results.filter((each) => each.arm === arm && each.iteration === iteration);
  const cells = (model: ModelNumbers, columns: readonly Column[]): Cell[] =>
    columns.map(({ cell }) => cell(model, { base, results: resultsOf(model) }));
  const columns = COLUMNS.filter((column) => models.some((model) => cells(model, [column])[0]?.text !== ''));
  return {
    caption: 'Every model in numbers',
    explanation: `Means over held-out prompts, of each prompt over the seeds; brackets are 95 % bootstrap intervals over prompts. Reward: ${data.rewardName}.`,
    head: [plain('model'), ...columns.map(({ head }) => head)],
    rows: models.map((model) => ({ name: modelName(model), cells: cells(model, columns) })),
  };
}

function modelName({ arm, label, iteration }: Pick<ModelNumbers, 'arm' | 'label' | 'iteration'>): Cell {
  return arm === null ? { text: label, hint: 'before training' } : { text: label, hint: `iteration ${iteration}` };
}

const COLUMNS: readonly Column[] = [
  { head: { text: 'n', hint: 'prompts × seeds' }, cell: ({ reward, seeds }) => plain(`${reward.count} × ${seeds}`) },
  {
    head: plain('mean reward'),
    cell: ({ reward }) => ({ text: fixed(reward.value, 3), hint: bracket(reward) }),
  },
  {
    head: { text: 'change', hint: 'against the base' },
    cell: ({ reward, arm }, { base }) =>
      arm === null || base === undefined
        ? EMPTY
        : { text: arrow(reward.value - base.reward.value), hint: rangeText(reward.bySeed, 3) },
  },
  {
    head: { text: 'win rate', hint: 'against the base, ties one half' },
    cell: ({ winRate }) => (winRate === null ? EMPTY : shareCell(winRate)),
  },
  {
    head: { text: 'length', hint: 'tokens' },
    cell: ({ length }) => ({ text: fixed(length.value, 1), hint: bracket(length, 1) }),
  },
  {
    head: { text: 'KL to the base', hint: 'nats a response' },
    cell: ({ klToBase }) =>
      klToBase.length === 0 ? EMPTY : { text: fixed(mean(klToBase), 1), hint: rangeText(klToBase, 1) },
  },
  {
    head: { text: 'text soundness', hint: '1 is unbroken' },
    cell: ({ textHealth }) =>
      textHealth === null ? EMPTY : { text: fixed(textHealth.value, 3), hint: bracket(textHealth) },
  },
  {
    head: plain('ended by itself'),
    cell: ({ finishedShare }) => (finishedShare.length === 0 ? EMPTY : plain(percent(mean(finishedShare)))),
  },
  {
    head: { text: 'AlpacaEval 2', hint: 'length-controlled win rate, %' },
    cell: (_, { results }) => {
      const found = results.findLast(({ alpaca }) => alpaca !== null)?.alpaca;
      if (found?.lengthControlled === undefined || found.lengthControlled === null) return EMPTY;
      return errorCell(found.lengthControlled, found.lengthControlledError, found.count);
    },
  },
  {
    head: { text: 'AlpacaEval 2', hint: 'win rate, %' },
    cell: (_, { results }) => {
      const found = results.findLast(({ alpaca }) => alpaca !== null)?.alpaca;
      if (found === undefined || found === null) return EMPTY;
      const { text, hint } = errorCell(found.winRate, found.error, found.count);
      return { text, hint: found.length === null ? hint : `${hint}, ${found.length} characters` };
    },
  },
  ...(['turn1', 'turn2', 'average'] as const).map(
    (part): Column => ({
      head: { text: 'MT-Bench', hint: { turn1: 'turn 1', turn2: 'turn 2', average: 'average' }[part] },
      cell: (_, { results }) => {
        const found = results.findLast(({ mtBench }) => mtBench !== null)?.mtBench ?? null;
        const value = found?.[part] ?? null;
        if (found === null || value === null) return EMPTY;
        const unparsed = found.unparsed === 0 ? '' : `, ${found.unparsed} unparsed`;
        return { text: fixed(value, 2), hint: part === 'average' ? `n = ${found.rows}${unparsed}` : '' };
      },
    }),
  ),
];

/** A figure of the leaderboard with its standard error. */
function errorCell(value: number, error: number | null, count: number): Cell {
  return { text: fixed(value, 2), hint: `${error === null ? '' : `± ${fixed(error, 2)} (SE), `}n = ${count}` };
}

function shareCell(value: Interval): Cell {
  return {
    text: percent(value.value),
    hint: `[${fixed(100 * value.low, 1)}, ${fixed(100 * value.high, 1)}]`,
  };
}

function bracket({ low, high }: Interval, digits = 3): string {
  return `[${fixed(low, digits)}, ${fixed(high, digits)}]`;
}

/** `seeds 0.43 to 0.46`; nothing of one. */
function rangeText(values: readonly number[], digits: number): string {
  return values.length < 2
    ? ''
    : `seeds ${fixed(Math.min(...values), digits)} to ${fixed(Math.max(...values), digits)}`;
}

function arrow(change: number): string {
  return `${change < 0 ? '▼' : '▲'} ${change < 0 ? '' : '+'}${fixed(change, 3)}`;
}

/** Every arm against the baseline; null where there is no other arm. */
export function differencesSheet(data: ComparisonData): Sheet | null {
  const comparisons = armComparisons(data);
  if (comparisons.length === 0) return null;
  const several = comparisons.some(({ overSeeds }) => overSeeds !== null);
  const over = (comparison: ArmComparison): Cell => {
    const { overSeeds, bySeed } = comparison;
    if (overSeeds === null) return plain('one seed');
    return { text: signedInterval(overSeeds), hint: bySeed.map(({ difference }) => fixed(difference, 3)).join(' · ') };
  };
  const rows = comparisons.map((comparison) => ({
    name: plain(comparison.label),
    cells: [
      { text: signedInterval(comparison.difference), hint: `n = ${comparison.difference.count} prompts` },
      ...(several ? [over(comparison)] : []),
      shareCell(comparison.winRate),
      plain(pText(comparison.pPrompts)),
      ...(several
        ? [
            {
              text: comparison.overSeeds === null ? '' : pText(comparison.overSeeds.p),
              hint: comparison.overSeeds === null ? '' : `signs flipped ${pText(comparison.pSeedsExact)}`,
            },
          ]
        : []),
      plain(pText(comparison.pCorrected)),
      plain(SIDE[comparison.side]),
    ],
  }));
  const baseline = comparisons[0]?.baselineLabel ?? '';
  return {
    caption: `Every arm against ${baseline}`,
    explanation: `Last iterations, paired by prompt and by seed. Over prompts: bootstrap intervals, p of the sign-flip test. ${several ? 'Over seeds: interval and p of Student’s t-test, beside it the exact sign-flip test, whose smallest p is 2 in 2 to the number of seeds. ' : ''}The verdict needs ${several ? 'both tests, so that the larger p counts' : 'that test'}, corrected by Holm for ${comparisons.length} ${comparisons.length === 1 ? 'comparison' : 'comparisons'}.`,
    head: [
      plain('arm'),
      { text: 'difference in reward', hint: 'over prompts' },
      ...(several ? [{ text: 'difference in reward', hint: 'over seeds, and each seed' }] : []),
      { text: 'win rate', hint: `against ${baseline}` },
      { text: 'p', hint: 'prompts' },
      ...(several ? [{ text: 'p', hint: 'seeds' }] : []),
      { text: 'p', hint: 'corrected' },
      plain('verdict'),
    ],
    rows,
  };
}

const SIDE: Record<Side, string> = {
  above: 'better',
  below: 'worse',
  undecided: 'no winner',
  'too few': 'too few',
};

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
  const rows = benchmarkRows(data);
  const all = rows.flatMap(({ benchmarks }) => benchmarks);
  const kinds = [...new Map(all.map((each) => [kindOf(each), each])).values()];
  if (kinds.length === 0) return null;
  const averaged = kinds.filter(isAccuracy);
  return {
    caption: 'Public benchmarks',
    explanation:
      'As lm-evaluation-harness, AlpacaEval and MT-Bench define them. Means over items, of each item over the seeds; brackets are 95 % bootstrap intervals over items, changes against the base are paired by item.',
    head: [
      plain('model'),
      ...kinds.map((kind) => ({
        text: kind.title,
        hint: isAccuracy(kind)
          ? `${kind.metric}, ${kind.shots === 0 ? 'no examples' : `${kind.shots} examples`}`
          : kind.metric,
      })),
      ...(averaged.length > 1
        ? [{ text: 'average', hint: `of ${averaged.map(({ title }) => title).join(', ')}` }]
        : []),
    ],
    rows: rows.map((row) => {
      const found = kinds.map((kind) => row.benchmarks.find((each) => kindOf(each) === kindOf(kind)) ?? null);
      const values = found.flatMap((each) => (each === null || !isAccuracy(each) ? [] : each.value.value));
      const average = values.length === averaged.length ? fixed(mean(values), 3) : '';
      return {
        name: modelName(row),
        cells: [...found.map(benchmarkCell), ...(averaged.length > 1 ? [plain(average)] : [])],
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
