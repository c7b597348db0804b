/** @file The part of a report about exploration: what became of y, how far it was pushed and by what, and how diverse the answers are. */

import { bootstrapMean, type Interval, mean } from '../evaluate/statistics.ts';
import type { EvaluationData } from '../store/evaluations.ts';
import { type LineChartOptions, legend, lineChart } from './charts.ts';
import { fixed, percent, plainInterval } from './findings.ts';
import { type Markup, markup } from './markup.ts';
import { table } from './page.ts';
import type { ExplorationReport, MethodReport, ReportData } from './report-data.ts';

/** The section; null where no method sampled. */
export function explorationSection(data: ReportData): Markup | null {
  if (data.methods.every(({ exploration }) => exploration.length === 0)) return null;
  return markup`<h2 id="exploration">What exploration did</h2>
<p class="hint">y is the policy’s own response that the optimism term lowers. Its log-ratio to the reference is measured after training, on a sample of the iteration’s prompts, without the term as well. Gradient norms are over all trained weights, of the mean loss of a few pairs; where optimism and preference oppose each other, the norm of their sum is below the preference’s.</p>
${legend(data.methods.map(({ name, description }, index) => ({ name: `${name} (${description})`, color: index + 1 })))}
<div class="charts">${charts(data)}</div>
${fateTable(data)}
${diversityTable(data)}`;
}

function charts(data: ReportData): Markup[] {
  const last = Math.max(...data.methods.flatMap(({ exploration }) => exploration.map(({ iteration }) => iteration)));
  const ticks = Array.from({ length: last }, (_, index) => index + 1);
  const chart = (
    title: string,
    yLabel: string,
    read: (each: ExplorationReport) => Interval | number | null,
    options: Pick<LineChartOptions, 'reference'> = {},
  ): Markup =>
    lineChart({
      title,
      description: `${title}, by iteration. The numbers are in the table below.`,
      xLabel: 'iteration',
      xTicks: ticks,
      xTick: String,
      yLabel,
      ...options,
      series: data.methods.map(({ name, exploration }, index) => ({
        name,
        color: index + 1,
        points: exploration.flatMap((each) => {
          const value = read(each);
          if (value === null) return [];
          const y = typeof value === 'number' ? { y: value } : { y: value.value, low: value.low, high: value.high };
          return [{ x: each.iteration, ...y, note: `${name}, iteration ${each.iteration}: ${noteOf(value)}` }];
        }),
      })),
    });
  return [
    chart('How far y was pushed', 'log π(y) − log π_ref(y), nats', (each) => logRatio(each, data.statisticsSeed), {
      reference: { y: 0, label: 'where the reference is' },
    }),
    chart('Optimism gradient beside the preference’s', 'ratio of norms', ({ gradient }) =>
      gradient === null ? null : gradient.exploration / gradient.preference,
    ),
  ];
}

const noteOf = (value: Interval | number): string =>
  typeof value === 'number' ? fixed(value, 4) : plainInterval(value);

/** Mean log-ratio of y with its interval over prompts; null where it was not measured. */
export function logRatio({ logRatios }: Pick<ExplorationReport, 'logRatios'>, seed: number): Interval | null {
  return logRatios.length === 0 ? null : bootstrapMean(logRatios, seed);
}

function fateTable(data: ReportData): Markup {
  const rows = data.methods.map(({ name, exploration }) => [
    markup`<tr class="group"><th colspan="9" scope="rowgroup">${name}</th></tr>`,
    exploration.map((each) => {
      const { chosen, rejected, between, noPair } = sharesOf(each);
      const ratio = logRatio(each, data.statisticsSeed);
      const { gradient } = each;
      return markup`<tr><td>iteration ${each.iteration}</td><td>${percent(chosen)}</td><td>${percent(rejected)}</td><td>${percent(between)}</td><td>${percent(noPair)}</td><td>${ratio === null ? '' : plainInterval(ratio, 2)}</td><td>${gradient === null ? '' : gradient.preference.toPrecision(3)}</td><td>${gradient === null ? '' : gradient.exploration.toPrecision(3)}</td><td>${gradient === null ? '' : fixed(gradient.exploration / gradient.preference, 4)}</td></tr>`;
    }),
  ]);
  const head = [
    'iteration',
    'y became chosen',
    'y became rejected',
    'y stayed between',
    'no pair',
    'log-ratio of y, nats',
    'preference gradient',
    'optimism gradient',
    'ratio',
  ];
  return table('What became of y, and what pushed it', head, rows);
}

/** Shares of the prompts by the fate of y. */
export function sharesOf({ fate }: Pick<ExplorationReport, 'fate'>): ExplorationReport['fate'] {
  const total = Math.max(1, fate.chosen + fate.rejected + fate.between + fate.noPair);
  return {
    chosen: fate.chosen / total,
    rejected: fate.rejected / total,
    between: fate.between / total,
    noPair: fate.noPair / total,
  };
}

function diversityTable({ base, methods }: ReportData): Markup | null {
  if (base === null) return null;
  const baseLength = mean(base.lengths);
  const row = (name: string, { diversity, lengths, klToBase, klToPrevious }: EvaluationData): Markup => {
    const [one, two, three] = diversity?.distinct ?? [];
    const share = (value: number | undefined): string => (value === undefined ? '' : fixed(value, 3));
    const kl = (value: Interval | null): string => (value === null ? '' : plainInterval(value, 2));
    const selfBleu = diversity?.selfBleu ?? undefined;
    return markup`<tr><td>${name}</td><td>${share(one)}</td><td>${share(two)}</td><td>${share(three)}</td><td>${share(selfBleu)}</td><td>${kl(klToBase)}</td><td>${kl(klToPrevious)}</td><td>${fixed(mean(lengths) / baseLength, 2)}</td></tr>`;
  };
  const head = [
    'policy',
    'distinct-1',
    'distinct-2',
    'distinct-3',
    'Self-BLEU',
    'KL to base, nats',
    'KL to previous, nats',
    'length / base’s',
  ];
  const rows = methods.map(({ name, iterations }) => [
    markup`<tr class="group"><th colspan="8" scope="rowgroup">${name}</th></tr>`,
    iterations.map(({ iteration, evaluation }) => row(`iteration ${iteration}`, evaluation)),
  ]);
  return markup`<p class="hint">Diversity of the held-out answers: distinct-n is the share of different word n-grams (higher is more diverse), Self-BLEU the mean BLEU-4 of an answer against all others (lower is more diverse).</p>
${table('Diversity and drift of the held-out answers', head, [row('base', base), rows])}`;
}

/** The last iteration of the first two methods for a terminal, in at most three lines. */
export function explorationLines(data: ReportData): string[] {
  const lines = data.methods.slice(0, 2).flatMap((method) => {
    const last = method.exploration.at(-1);
    return last === undefined ? [] : linesOf(method, last, data.statisticsSeed);
  });
  return lines.slice(0, 3);
}

function linesOf({ name, iterations }: MethodReport, last: ExplorationReport, seed: number): string[] {
  const whole = (share: number): string => `${fixed(100 * share, 0)} %`;
  const { chosen, rejected, between } = sharesOf(last);
  const ratio = logRatio(last, seed);
  const diversity = iterations.at(-1)?.evaluation.diversity ?? null;
  const fate = `y chosen ${whole(chosen)}, rejected ${whole(rejected)}, between ${whole(between)}`;
  const facts = [
    ...(last.gradient === null
      ? []
      : [`optimism gradient ${fixed(last.gradient.exploration / last.gradient.preference, 4)} of the preference's`]),
    ...(diversity === null ? [] : [`distinct-2 ${fixed(diversity.distinct[1], 3)}`]),
  ];
  return [
    `Exploration, ${name.slice(0, 18)} it. ${last.iteration}: ${fate}${ratio === null ? '' : `; log-ratio ${plainInterval(ratio, 2)} nats`}`,
    ...(facts.length === 0 ? [] : [`  ${facts.join('; ')}`]),
  ];
}
