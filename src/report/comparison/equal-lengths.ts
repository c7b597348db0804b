/**
 * @file AlpacaEval among the models of a comparison: how often each beats each other at equal lengths, from the verdicts that their runs
 * keep (Figure 2 of the paper), as numbers, as a table, and as a picture. Pure.
 */
import { type Contest, rateMatrix, rateOver } from '../../evaluate/alpaca/fitted-model.ts';
import type { Interval } from '../../evaluate/statistics.ts';
import type { JudgedFit } from '../../store/length-control.ts';
import { fixed } from '../findings.ts';
import { type Markup, markup } from '../markup.ts';
import { type Cell, EMPTY, plain, type Sheet } from '../sheet.ts';
import { winRateMatrixDrawing } from '../win-rate-matrix.ts';
import type { ComparisonData } from './comparison-data.ts';
import { baseRuns } from './numbers.ts';

/** Models beyond which only the last of each arm is compared, and the most of those. */
const MOST_MODELS = 10;
const MOST_LAST_MODELS = 20;

/** A judged model, over its seeds. */
interface JudgedModel {
  arm: string | null;
  label: string;
  iteration: number;
  fits: { seed: number; fit: JudgedFit }[];
}

/** Win rates at equal lengths in [0, 1]; `rates[row][column]` is of a row's model over a column's. */
export interface EqualLengths {
  models: { arm: string | null; label: string; iteration: number; seeds: number }[];
  rates: (Interval | null)[][];
  /** Over the baseline of AlpacaEval, in the order of the models. */
  overBaseline: (Interval | null)[];
  /** What is not in it, one sentence each. */
  notes: string[];
}

/** The matrix; null where fewer than two models were judged on one basis. */
export function equalLengths(data: ComparisonData): EqualLengths | null {
  const all = judgedModels(data);
  const basis = mostCommon(all.flatMap(({ fits }) => fits.map(({ fit }) => fit.basis)));
  const comparable = all.flatMap((model) => {
    const fits = model.fits.filter(({ fit }) => fit.basis === basis);
    // Runs of one base and seed have judged the same model.
    const once = [...new Map(fits.map((each) => [each.seed, each])).values()];
    return once.length === 0 ? [] : [{ ...model, fits: once }];
  });
  const models = fewEnough(comparable);
  if (models.length < 2) return null;
  const left = all.length - comparable.length;
  return {
    models: models.map(({ fits, ...model }) => ({ ...model, seeds: fits.length })),
    rates: rateMatrix(models.length, (row, column) => rateOver(contestsOf(models[row], models[column]))),
    overBaseline: models.map(({ fits }) => rateOver(fits.map(({ fit }) => ({ model: fit, against: null })))),
    notes: [
      ...(left === 0
        ? []
        : [`${left} models were judged by another judge or against another baseline and are left out.`]),
      ...(models.length === comparable.length
        ? []
        : [`${models.length} of ${comparable.length} judged models: the base and the last of each arm.`]),
    ],
  };
}

/** The base (one a base model), then each arm's iterations. */
function judgedModels({ arms }: ComparisonData): JudgedModel[] {
  const all = arms.flatMap(({ runs }) => runs);
  const bases = baseRuns(arms).map(({ label, runs: [first] }) => {
    const runs = all.filter(({ baseModel }) => baseModel === first?.baseModel);
    return { arm: null, label, iteration: 0, runs };
  });
  const trained = arms.flatMap(({ name, label, runs }) =>
    [...new Set(runs.flatMap(({ fits }) => [...fits.keys()]))]
      .filter((iteration) => iteration > 0)
      .sort((a, b) => a - b)
      .map((iteration) => ({ arm: name, label, iteration, runs })),
  );
  return [...bases, ...trained].flatMap(({ runs, ...model }) => {
    const fits = runs.flatMap(({ seed, fits: own }) => {
      const fit = own.get(model.iteration);
      return fit === undefined ? [] : [{ seed, fit }];
    });
    return fits.length === 0 ? [] : [{ ...model, fits }];
  });
}

function fewEnough(models: readonly JudgedModel[]): JudgedModel[] {
  if (models.length <= MOST_MODELS) return [...models];
  const isLast = ({ arm, iteration }: JudgedModel): boolean =>
    !models.some((other) => other.arm === arm && other.iteration > iteration);
  return models.filter(isLast).slice(0, MOST_LAST_MODELS);
}

/** Runs of the same seed; without one in common, every run of one against every run of the other. */
function contestsOf(model: JudgedModel | undefined, against: JudgedModel | undefined): Contest[] {
  const all = (model?.fits ?? []).flatMap((own) =>
    (against?.fits ?? []).map((other) => ({ isPair: own.seed === other.seed, model: own.fit, against: other.fit })),
  );
  const paired = all.filter(({ isPair }) => isPair);
  return paired.length > 0 ? paired : all;
}

function mostCommon(values: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0];
}

/** As a table: the baseline first, then each model; null of null. */
export function equalLengthsSheet(found: EqualLengths | null): Sheet | null {
  if (found === null) return null;
  const { models, rates, overBaseline, notes } = found;
  const several = models.some(({ seeds }) => seeds > 1);
  return {
    caption: 'Win rates at equal lengths, each row over each column',
    explanation: `AlpacaEval 2's length-controlled win rate between any two models, in percent, from the verdicts of one judge on each beside the same baseline${several ? ', a mean over the seeds that both have' : ''}. Opposite cells sum to 100. Brackets are 95 % intervals of a bootstrap over instructions.${notes.length === 0 ? '' : ` ${notes.join(' ')}`}`,
    head: [plain('model'), { text: 'baseline', hint: "AlpacaEval's" }, ...models.map((model) => plain(nameOf(model)))],
    rows: models.map((model, row) => ({
      name: plain(nameOf(model)),
      cells: [rateCell(overBaseline[row] ?? null), ...(rates[row] ?? []).map(rateCell)],
    })),
  };
}

function rateCell(rate: Interval | null): Cell {
  if (rate === null) return EMPTY;
  const percents = [rate.low, rate.high].map((value) => fixed(100 * value, 1)).join(', ');
  return { text: fixed(100 * rate.value, 2), hint: `[${percents}], n = ${rate.count}` };
}

/** The same as a picture; null of null, and where a cell of it has no rate. */
export function equalLengthsPicture(found: EqualLengths | null): Markup | null {
  if (found === null || found.rates.some((row, i) => row.some((rate, j) => rate === null && i !== j))) return null;
  const drawing = winRateMatrixDrawing({
    title: 'Win rate at equal lengths, row over column',
    models: found.models.map(nameOf),
    winRates: found.rates.map((row) => row.map((rate) => (rate === null ? 50 : 100 * rate.value))),
  });
  return markup`<figure class="matrix"><figcaption>Win rate at equal lengths, row over column, percent</figcaption>${drawing}</figure>`;
}

function nameOf({ label, iteration }: { label: string; iteration: number }): string {
  return iteration === 0 ? label : `${label}, it. ${iteration}`;
}
