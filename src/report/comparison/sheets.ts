/**
 * @file The tables of a comparison, once for HTML and for Markdown: models over their iterations as in the paper's Table 1,
 * arms against the baseline. Pure.
 */
import { type Interval, mean } from '../../evaluate/statistics.ts';
import { fixed, percent, signedInterval } from '../findings.ts';
import { type Cell, EMPTY, plain, type Sheet } from '../sheet.ts';
import type { ComparisonData } from './comparison-data.ts';
import { type ArmComparison, armComparisons, type Side } from './differences.ts';
import { type JudgedNumbers, judgedNumbers } from './judged.ts';
import { type ModelNumbers, modelNumbers } from './numbers.ts';
import type { PlacedResults } from './result-files.ts';
import { pText } from './sentences.ts';

interface Column {
  head: Cell;
  cell(model: ModelNumbers, beside: Beside): Cell;
}

/** What a column may take its value from, beside the model. */
interface Beside {
  base: ModelNumbers | undefined;
  /** Measured apart from the runs: these count where both are there. */
  results: readonly PlacedResults[];
  /** Measured in the runs. */
  judged: JudgedNumbers;
}

/** Every model in numbers; columns that no model has a value in are left out. */
export function modelsSheet(data: ComparisonData): Sheet {
  return {
    caption: 'Every model in numbers',
    explanation: `Means over held-out prompts, of each prompt over the seeds; brackets are 95 % bootstrap intervals over prompts. Reward: ${data.rewardName}.`,
    ...sheetOf(data, COLUMNS),
  };
}

/** Table 1: what judges say of every model; null where none was asked. */
export function judgedSheet(data: ComparisonData): Sheet | null {
  const found = sheetOf(data, JUDGED_COLUMNS);
  if (found.head.length === 1) return null;
  return {
    caption: 'AlpacaEval 2 and MT-Bench',
    explanation:
      'Win rates over the baseline of AlpacaEval, and ratings from 1 to 10. Of runs: means over instructions and questions, of each over the seeds, with 95 % bootstrap intervals. Of files that were given: as they say, ± standard error.',
    ...found,
  };
}

/** The models in some columns, those left out that no model has a value in. */
function sheetOf(data: ComparisonData, wanted: readonly Column[]): Pick<Sheet, 'head' | 'rows'> {
  const models = modelNumbers(data);
  const base = models.find(({ arm }) => arm === null);
  const resultsOf = ({ arm, iteration }: ModelNumbers): PlacedResults[] =>
    data.results.filter((each) => each.arm === arm && each.iteration === iteration);
  const rows = models.map((model) => {
    const beside = { base, results: resultsOf(model), judged: judgedNumbers(data, model) };
    return { name: modelName(model), cells: wanted.map(({ cell }) => cell(model, beside)) };
  });
  const kept = wanted.map((_, place) => rows.some(({ cells }) => (cells[place]?.text ?? '') !== ''));
  const only = <Value>(values: readonly Value[]): Value[] => values.filter((_, place) => kept[place]);
  return {
    head: [plain('model'), ...only(wanted.map(({ head }) => head))],
    rows: rows.map(({ name, cells }) => ({ name, cells: only(cells) })),
  };
}

/** A model's name for the first column. */
export function modelName({ arm, label, iteration }: Pick<ModelNumbers, 'arm' | 'label' | 'iteration'>): Cell {
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
];

const JUDGED_COLUMNS: readonly Column[] = [
  {
    head: { text: 'AlpacaEval 2', hint: 'length-controlled win rate, %' },
    cell: (_, { results, judged }) => {
      const found = results.findLast(({ alpaca }) => alpaca !== null)?.alpaca ?? null;
      if (found === null) return judgedCell(judged.lengthControlled, 100);
      if (found.lengthControlled === null) return EMPTY;
      return errorCell(found.lengthControlled, found.lengthControlledError, found.count);
    },
  },
  {
    head: { text: 'AlpacaEval 2', hint: 'win rate, %' },
    cell: (_, { results, judged }) => {
      const found = results.findLast(({ alpaca }) => alpaca !== null)?.alpaca ?? null;
      const length = found === null ? (judged.characters?.value ?? null) : found.length;
      const { text, hint } =
        found === null ? judgedCell(judged.winRate, 100) : errorCell(found.winRate, found.error, found.count);
      return text === '' || length === null
        ? { text, hint }
        : { text, hint: `${hint}\n${Math.floor(length)} characters` };
    },
  },
  ...(['turn1', 'turn2', 'average'] as const).map(
    (part): Column => ({
      head: { text: 'MT-Bench', hint: { turn1: 'turn 1', turn2: 'turn 2', average: 'average' }[part] },
      cell: (_, { results, judged }) => {
        const found = results.findLast(({ mtBench }) => mtBench !== null)?.mtBench ?? null;
        if (found === null) return judgedCell(judged[part], 1);
        const value = found[part];
        if (value === null) return EMPTY;
        const unparsed = found.unparsed === 0 ? '' : `, ${found.unparsed} unparsed`;
        return { text: fixed(value, 2), hint: part === 'average' ? `n = ${found.rows}${unparsed}` : '' };
      },
    }),
  ),
];

/** What a judge said in the runs, times a factor. */
function judgedCell(value: Interval | null, times: number): Cell {
  if (value === null) return EMPTY;
  const ends = [value.low, value.high].map((end) => fixed(times * end, 2)).join(', ');
  return { text: fixed(times * value.value, 2), hint: `[${ends}]\nn = ${value.count}` };
}

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

/** `[0.210, 0.330]`. */
export function bracket({ low, high }: Interval, digits = 3): string {
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

/** Who is better, in a word or two. */
export const SIDE: Record<Side, string> = {
  above: 'better',
  below: 'worse',
  undecided: 'no winner',
  'too few': 'too few',
};
