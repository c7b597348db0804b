/**
 * @file The part of a report about public benchmarks: every model on every benchmark, as in Table 2 of the paper, and what each gained
 * or lost against the base on the same items.
 */
import { commonDifference, FEWEST_PROMPTS, type Interval } from '../evaluate/statistics.ts';
import { type BenchmarkScores, mainScores } from '../store/benchmark-scores.ts';
import { fixed, percent, plainInterval, sideOf, signedInterval } from './findings.ts';
import { type Markup, markup } from './markup.ts';
import { table } from './page.ts';
import type { MethodReport, ReportData } from './report-data.ts';

/** Lines of the summary; a report has all. */
const MOST_LINES = 6;

/** A model on a benchmark, beside the base. */
interface Cell {
  value: Interval;
  /** Paired by item; null for the base itself, and where the base was not measured on these items. */
  change: Interval | null;
}

/** The section; null where no benchmark was asked. */
export function benchmarksSection({ methods, statisticsSeed }: ReportData): Markup | null {
  const kinds = kindsOf(methods);
  if (kinds.length === 0) return null;
  const row = (name: string, method: MethodReport, iteration: number): Markup => {
    const cells = kinds.map((kind) => {
      const cell = cellOf(method, { iteration, kind, seed: statisticsSeed });
      return cell === null ? markup`<td></td>` : markup`<td>${cellText(cell)}</td>`;
    });
    return markup`<tr><td>${name}</td>${cells}</tr>`;
  };
  const withBase = methods.find(({ benchmarks }) => benchmarks.some(({ iteration }) => iteration === 0));
  const rows = methods.map((method) => [
    markup`<tr class="group"><th colspan="${kinds.length + 1}" scope="rowgroup">${method.name}</th></tr>`,
    method.benchmarks
      .filter(({ iteration }) => iteration > 0)
      .map(({ iteration }) => row(`iteration ${iteration}`, method, iteration)),
  ]);
  const head = kinds.map(({ benchmark, title, shots, mainMetric }) => {
    if (benchmark === 'alpaca_eval' || benchmark === 'mt_bench') return `${title}: ${mainMetric}`;
    const examples = shots === 0 ? 'no examples' : shots === 1 ? '1 example' : `${shots} examples`;
    return `${title}: ${mainMetric}, ${examples}`;
  });
  const problems = problemsOf(methods);
  return markup`<h2 id="benchmarks">Public benchmarks</h2>
<p class="hint">As lm-evaluation-harness defines them; AlpacaEval is the share of a judge's preference over the baseline, as it is; MT-Bench a judge's rating from 1 to 10. Brackets are 95 % bootstrap intervals over items; changes against the base are paired by item.</p>
${table('Benchmarks by model', ['model', ...head], [withBase === undefined ? null : row('base', withBase, 0), rows])}
${lengthControlTable(methods)}
${problems.length === 0 ? null : markup`<ul class="hint">${problems.map((line) => markup`<li>${line}</li>`)}</ul>`}`;
}

/** `SELM, it. 3, AlpacaEval at equal lengths: 0.231 [0.197, 0.270], n = 805; 0.612 [0.550, 0.671] over the base`. */
function lengthControlLine({ name, lengthControl }: MethodReport, iteration: number): string[] {
  const rates = lengthControl.find((each) => each.iteration === iteration)?.rates;
  if (rates === undefined || 'problem' in rates || rates.baseline === null) return [];
  const { baseline, base } = rates;
  const overBase = base === null ? '' : `; ${plainInterval(base)} over the base`;
  return [
    `${name}, it. ${iteration}, AlpacaEval at equal lengths: ${plainInterval(baseline)}, n = ${baseline.count}${overBase}`,
  ];
}

/** AlpacaEval's win rates at equal lengths; null where no model has them. */
function lengthControlTable(methods: readonly MethodReport[]): Markup | null {
  const rateCell = (rate: Interval | null): Markup =>
    rate === null
      ? markup`<td></td>`
      : markup`<td>${percent(rate.value)} <span class="hint">[${fixed(100 * rate.low, 1)}, ${fixed(100 * rate.high, 1)}], n = ${rate.count}</span></td>`;
  const rowsOf = (method: MethodReport, isShown: (iteration: number) => boolean): Markup[] =>
    method.lengthControl.flatMap(({ iteration, rates }) => {
      if ('problem' in rates || !isShown(iteration)) return [];
      return [
        markup`<tr><th scope="row">${modelText(method.name, iteration)}</th>${[rates.baseline, rates.base, rates.previous].map(rateCell)}</tr>`,
      ];
    });
  const [first] = methods;
  const rows = [
    ...(first === undefined ? [] : rowsOf(first, (iteration) => iteration === 0)),
    ...methods.flatMap((method) => rowsOf(method, (iteration) => iteration > 0)),
  ];
  if (rows.length === 0) return null;
  return markup`<h3>AlpacaEval at equal lengths</h3>
<p class="hint">Length-controlled win rates: what the judge's verdicts would be if both outputs were equally long, by AlpacaEval 2's regression. Brackets are 95 % intervals of a bootstrap over instructions.</p>
${table('Length-controlled win rates by model', ['model', 'over the baseline', 'over the base', 'over the iteration before'], rows)}`;
}

/** The last model of each method against the base, a line a benchmark, in at most `most` lines of a terminal. */
export function benchmarkLines({ methods, statisticsSeed: seed }: ReportData, most = MOST_LINES): string[] {
  const lines = methods.flatMap((method) => {
    const last = method.benchmarks.at(-1);
    if (last === undefined || last.iteration === 0) return [];
    const measured = last.scores.flatMap((kind) => {
      const cell = cellOf(method, { iteration: last.iteration, kind, seed });
      if (cell === null) return [];
      const name = `${method.name}, it. ${last.iteration}, ${kind.title}: ${plainInterval(cell.value)}, n = ${cell.value.count}`;
      return [cell.change === null ? name : `${name}; ${changeText(cell.change)}`];
    });
    return [...measured, ...lengthControlLine(method, last.iteration)];
  });
  const room = Math.min(most, MOST_LINES);
  if (lines.length <= room) return lines;
  const shown = lines.slice(0, Math.max(0, room - 1));
  const more = `... and ${lines.length - shown.length} more benchmark results in the report`;
  return room < 1 ? [] : [...shown, more];
}

/** Better and worse are said of enough items only, and only where the interval leaves out 0. */
function changeText(change: Interval): string {
  switch (sideOf(change)) {
    case 'above':
      return `better than the base by ${signedInterval(change)}`;
    case 'below':
      return `worse than the base by ${signedInterval(change)}`;
    case 'undecided':
      return `cannot be told apart from the base: ${signedInterval(change)}`;
    case 'too few':
      return `${signedInterval(change)} against the base, too few items to say more (${FEWEST_PROMPTS} are needed)`;
  }
}

/** One entry a benchmark and number of examples, in the order of the first model that has it. */
function kindsOf(methods: readonly MethodReport[]): BenchmarkScores[] {
  const all = methods.flatMap(({ benchmarks }) => benchmarks.flatMap(({ scores }) => scores));
  return [...new Map(all.map((scores) => [kindName(scores), scores])).values()];
}

function kindName({ benchmark, shots }: BenchmarkScores): string {
  return `${benchmark} ${shots}`;
}

function cellOf(
  method: MethodReport,
  { iteration, kind, seed }: { iteration: number; kind: BenchmarkScores; seed: number },
): Cell | null {
  const of = (which: number): BenchmarkScores | undefined =>
    method.benchmarks
      .find((each) => each.iteration === which)
      ?.scores.find((scores) => kindName(scores) === kindName(kind));
  const own = of(iteration);
  const metric = own?.metrics[own.mainMetric];
  if (own === undefined || metric === undefined) return null;
  const base = iteration === 0 ? undefined : of(0);
  const change = base === undefined ? null : commonDifference(mainScores(own), mainScores(base), seed);
  return { value: metric, change };
}

function cellText({ value, change }: Cell): Markup {
  const changed = change === null ? null : markup`<span class="hint">${signedInterval(change)} vs base</span>`;
  return markup`${fixed(value.value, 3)} <span class="hint">[${fixed(value.low, 3)}, ${fixed(value.high, 3)}], n = ${value.count}</span>${changed}`;
}

function modelText(method: string, iteration: number): string {
  return iteration === 0 ? 'base' : `${method}, iteration ${iteration}`;
}

/** What was left out of the numbers, or asked with less than it should have; what holds for every model is said once. */
function problemsOf(methods: readonly MethodReport[]): string[] {
  const lines = methods.flatMap((method) =>
    method.benchmarks.flatMap(({ iteration, scores }) =>
      scores.flatMap(({ title, unusable, cutItems, lines: scored }) => {
        const which = modelText(method.name, iteration);
        const [first] = unusable;
        return [
          ...(first === undefined
            ? []
            : [
                {
                  what: `${title}: ${unusable.length} rows could not be used and are in no number (the first, row ${first.line}: ${first.problem})`,
                  which,
                },
              ]),
          ...(cutItems === 0
            ? []
            : [
                {
                  what: `${title}: ${cutItems} of ${scored.length} prompts do not fit the model's context and lost examples or text at their start`,
                  which,
                },
              ]),
        ];
      }),
    ),
  );
  const uncontrolled = methods.flatMap(({ name, lengthControl }) =>
    lengthControl.flatMap(({ iteration, rates }) =>
      'problem' in rates
        ? [{ what: `AlpacaEval: no win rate at equal lengths: ${rates.problem}`, which: modelText(name, iteration) }]
        : [],
    ),
  );
  const models = new Map<string, string[]>();
  for (const { what, which } of [...lines, ...uncontrolled]) models.set(what, [...(models.get(what) ?? []), which]);
  return [...models].map(([what, which]) => `${what}: ${[...new Set(which)].join('; ')}.`);
}
