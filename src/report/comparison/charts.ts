/** @file The figures of a comparison: reward by iteration, over each setting of a grid, its distribution, and implicit rewards. */
import { histogram, mean } from '../../evaluate/statistics.ts';
import type { Evaluation } from '../../store/evaluations.ts';
import { histogramChart, legend, lineChart, type Series } from '../charts.ts';
import { fixed, plainInterval } from '../findings.ts';
import { type Markup, markup } from '../markup.ts';
import type { ArmPoint, ComparedArm, ComparedRun, ComparisonData, ImplicitRewards } from './comparison-data.ts';
import { baseRuns, lastOf, type ModelNumbers, modelNumbers } from './numbers.ts';

/** Colours beside that of the base. */
const COLOURS = 7;
const BINS = 24;
/** Histograms over each other that can still be told apart. */
const MOST_OUTLINES = 4;
/** Arms whose iterations are drawn one by one. */
const MOST_ARMS = 12;

const SMALL_NUMBER_SETTINGS =
  'Bars are 95 % bootstrap intervals over prompts; the dashed line is the model before training.';

/** Reward by iteration, as many arms in a chart as there are colours. */
export function iterationCharts(data: ComparisonData): Markup {
  const models = modelNumbers(data);
  const base = models.find(({ arm }) => arm === null);
  const groups = chunks(data.arms, COLOURS);
  const last = Math.max(0, ...models.map(({ iteration }) => iteration));
  const charts = groups.map((arms, group) => {
    const series = arms.map((arm, index): Series => {
      const own = models.filter((model) => model.arm === arm.name);
      return {
        name: arm.label,
        color: index + 1,
        points: [...(base === undefined ? [] : [base]), ...own].map((model) => ({
          x: model.iteration,
          ...pointOf(model),
        })),
      };
    });
    const title = `Mean reward by iteration${groups.length > 1 ? `, ${group + 1} of ${groups.length}` : ''}`;
    return markup`<div>${legend(series)}${lineChart({
      title,
      description: `Mean reward on held-out prompts after each iteration, a line an arm: ${arms.map(({ label }) => label).join('; ')}. The numbers are in the table of models.`,
      xLabel: 'iteration',
      yLabel: 'reward',
      xTicks: Array.from({ length: last + 1 }, (_, iteration) => iteration),
      xTick: (iteration) => (iteration === 0 ? '0 (base)' : String(iteration)),
      series,
    })}</div>`;
  });
  return markup`<div class="charts">${charts}</div>`;
}

function pointOf({ reward, label, iteration }: ModelNumbers) {
  const note = `${label}, iteration ${iteration}: ${plainInterval(reward)}, n = ${reward.count}`;
  return { y: reward.value, low: reward.low, high: reward.high, note };
}

/** Where an arm stands in one grid. */
interface Placed {
  arm: ComparedArm;
  point: ArmPoint;
}

/** A chart for each setting that varies in a grid, a line for each combination of the others; null where none does. */
export function settingCharts(data: ComparisonData): Markup | null {
  const models = modelNumbers(data);
  const base = models.find(({ arm }) => arm === null);
  const placed = data.arms.flatMap((arm) => arm.points.map((point): Placed => ({ arm, point })));
  const grids = [...new Set(placed.flatMap(({ point }) => point.grid ?? []))].sort((a, b) => a - b);
  const charts = grids.flatMap((grid) => {
    const own = placed.filter(({ point }) => point.grid === grid);
    const settings = [...new Set(own.flatMap(({ point }) => Object.keys(point.settings)))];
    return settings
      .filter((setting) => valuesOf(own, setting).length > 1)
      .map((setting) => settingChart(own, { setting, models, base }));
  });
  return charts.length === 0
    ? null
    : markup`<p class="hint">${SMALL_NUMBER_SETTINGS}</p><div class="charts">${charts}</div>`;
}

function settingChart(
  placed: readonly Placed[],
  { setting, models, base }: { setting: string; models: readonly ModelNumbers[]; base: ModelNumbers | undefined },
): Markup {
  const values = valuesOf(placed, setting);
  const otherText = ({ point }: Placed): string =>
    Object.entries(point.settings)
      .filter(([name]) => name !== setting && valuesOf(placed, name).length > 1)
      .map(([name, value]) => `${lastPart(name)} ${valueText(value)}`)
      .join(', ');
  const lines = [...new Set(placed.map(otherText))].slice(0, COLOURS);
  const series = lines.map(
    (line, index): Series => ({
      name: line === '' ? 'end of training' : line,
      color: index + 1,
      points: placed
        .filter((each) => otherText(each) === line)
        .flatMap(({ arm, point }) => {
          const last = models.findLast((model) => model.arm === arm.name);
          return last === undefined
            ? []
            : [{ x: values.indexOf(valueText(point.settings[setting])), ...pointOf(last) }];
        })
        .sort((a, b) => a.x - b.x),
    }),
  );
  const name = lastPart(setting);
  return markup`<div>${lines.length > 1 ? legend(series) : null}${lineChart({
    title: `Reward at the end by ${name}`,
    description: `Mean reward of the last iteration for ${setting} of ${values.join(', ')}. The numbers are in the table of models.`,
    xLabel: setting,
    yLabel: 'reward',
    xTicks: values.map((_, index) => index),
    xTick: (index) => values[index] ?? '',
    ...(base === undefined ? {} : { reference: { y: base.reward.value, label: 'base' } }),
    series,
  })}</div>`;
}

/** Values of a setting as texts: numbers by size, others in the order of the arms. */
function valuesOf(placed: readonly Placed[], setting: string): string[] {
  const all = placed.flatMap(({ point }) => (setting in point.settings ? [point.settings[setting]] : []));
  const numeric = all.every((value) => typeof value === 'number');
  const ordered = numeric ? [...all].sort((a, b) => Number(a) - Number(b)) : all;
  return [...new Set(ordered.map(valueText))];
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) return value.map(valueText).join(', ');
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.values(value).map(valueText).join(' ');
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1);
}

/** Which responses the distributions are of: greedy ones where all models have them, else what was sampled to measure. */
export function drawnResponses({
  arms,
}: ComparisonData): { kind: 'greedy' } | { kind: 'sampled'; temperatures: number[] } {
  const runs = arms.flatMap((arm) => arm.runs);
  const isGreedy = runs.every(
    ({ temperature, evaluations }) =>
      temperature === 0 || [...evaluations.values()].every(({ data }) => data.greedy !== null),
  );
  if (isGreedy) return { kind: 'greedy' };
  const temperatures = [...new Set(runs.map(({ temperature }) => temperature))].sort((a, b) => a - b);
  return { kind: 'sampled', temperatures };
}

/** Distributions of single rewards: arms beside each other at the end, then the iterations of each arm. */
export function distributionCharts(data: ComparisonData): Markup {
  const isGreedy = drawnResponses(data).kind === 'greedy';
  const rewardsIn = ({ data: { rewards, greedy } }: Evaluation): number[] =>
    isGreedy ? (greedy?.rewards ?? rewards) : rewards;
  const rewardsAt = (runs: readonly ComparedRun[], iteration: number): number[] =>
    runs.flatMap(({ evaluations }) => {
      const found = evaluations.get(iteration);
      return found === undefined ? [] : rewardsIn(found);
    });
  const all = data.arms.flatMap(({ runs }) => runs.flatMap(({ evaluations }) => [...evaluations.values()]));
  const values = all.flatMap(rewardsIn).filter(Number.isFinite);
  const low = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const top = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const range = { low, high: top > low ? top : low + 1 };
  const draw = (title: string, description: string, parts: { name: string; rewards: number[] }[]): Markup => {
    const series = parts.map(({ name, rewards }, index) => ({
      name: `${name} (${rewards.length} responses)`,
      color: index,
      shares: histogram(rewards, { ...range, bins: BINS }).counts.map((count) => count / Math.max(1, rewards.length)),
    }));
    const chart = histogramChart({
      title,
      description,
      xLabel: 'reward',
      yLabel: 'share of responses',
      ...range,
      series,
    });
    return markup`<div>${legend(series)}${chart}</div>`;
  };
  const [bases] = baseRuns(data.arms);
  const base = { name: 'base', rewards: rewardsAt(bases?.runs ?? [], 0) };
  const groups = chunks(data.arms, MOST_OUTLINES);
  const ends = groups.map((arms, group) =>
    draw(
      `Rewards at the end, by arm${groups.length > 1 ? `, ${group + 1} of ${groups.length}` : ''}`,
      `Share of responses in each of ${BINS} bins of reward at the last iteration, for ${arms.map(({ label }) => label).join('; ')}, beside the base.`,
      [
        base,
        ...arms.map((arm) => ({
          name: arm.label,
          rewards: arm.runs.flatMap((run) => {
            const last = lastOf(run);
            return last === null ? [] : rewardsIn(last);
          }),
        })),
      ],
    ),
  );
  const iterations = data.arms.slice(0, MOST_ARMS).map((arm) => {
    const known = [...new Set(arm.runs.flatMap(({ evaluations }) => [...evaluations.keys()]))].sort((a, b) => a - b);
    // The first and the last ones, where there are more iterations than can be told apart.
    const shown = known.length <= MOST_OUTLINES + 1 ? known : [...known.slice(0, 2), ...known.slice(1 - MOST_OUTLINES)];
    return draw(
      `Rewards by iteration: ${arm.label}`,
      `Share of responses in each of ${BINS} bins of reward, an outline an iteration of ${arm.label}; the base is filled.`,
      shown.map((iteration) => ({
        name: iteration === 0 ? 'base' : `iteration ${iteration}`,
        rewards: rewardsAt(arm.runs, iteration),
      })),
    );
  });
  const more = data.arms.length - MOST_ARMS;
  return markup`<div class="charts">${ends}</div>
<h3>By iteration</h3>${more > 0 ? markup`<p class="hint">The first ${MOST_ARMS} arms; comparison.json has all numbers.</p>` : null}
<div class="charts">${iterations}</div>`;
}

/** Sorted differences of implicit rewards, one chart an arm (Figure 4 of the paper). */
export function implicitRewardCharts({ implicitRewards, arms }: ComparisonData): Markup | null {
  if (implicitRewards.length === 0) return null;
  const labelOf = (name: string): string => arms.find((arm) => arm.name === name)?.label ?? name;
  const charts = implicitRewards.map((each) => implicitChart(each, labelOf(each.arm), labelOf(each.baseline)));
  return markup`<div class="charts">${charts}</div>`;
}

function implicitChart({ chosen, rejected, beta, seed }: ImplicitRewards, label: string, baseline: string): Markup {
  const sorted = (name: string, color: number, values: readonly number[]): Series => ({
    name: `${name} (mean ${fixed(mean(values), 3)}, above 0 in ${values.filter((value) => value > 0).length} of ${values.length})`,
    color,
    points: [...values].sort((a, b) => a - b).map((y, index) => ({ x: (100 * (index + 0.5)) / values.length, y })),
  });
  const series = [sorted('chosen', 1, chosen), sorted('rejected', 2, rejected)];
  return markup`<div>${legend(series)}${lineChart({
    title: `Implicit reward of ${label} minus that of ${baseline}`,
    description: `Sorted differences of beta (log policy − log base), beta = ${beta}, seed ${seed}, on the chosen and the rejected responses of ${chosen.length} pairs.`,
    xLabel: 'percent of the responses',
    yLabel: 'difference of implicit reward',
    style: 'line',
    reference: { y: 0, label: 'equal' },
    series,
  })}</div>`;
}

function chunks<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
