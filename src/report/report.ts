/**
 * @file The report of a run: what was sampled, how it was ranked, what changed, and how sure that is. One HTML file that
 * opens anywhere and asks the network for nothing; summary.ts says the same in a terminal.
 */
import { distinctShare, histogram, type Interval, wordsOf } from '../evaluate/statistics.ts';
import type { EvaluationData } from '../store/evaluations.ts';
import { benchmarksSection } from './benchmarks-section.ts';
import { type ChartPoint, histogramChart, type LineChartOptions, legend, lineChart, type Series } from './charts.ts';
import { explorationSection } from './exploration-section.ts';
import {
  fixed,
  type MethodNumbers,
  numbersOf,
  type PolicyNumbers,
  percent,
  plainInterval,
  verdicts,
  warnings,
} from './findings.ts';
import { type Markup, markup } from './markup.ts';
import { factTable, page, table } from './page.ts';
import { opinionsSection } from './rankers-section.ts';
import type { ReportData, TrainingPoint } from './report-data.ts';
import { sourcesSection } from './sources-section.ts';

/** Bins of the reward histograms. */
const BINS = 20;

/**
 * One self-contained HTML document.
 *
 * @throws DataError when evaluations are empty or on different prompts
 */
export function renderReport(data: ReportData): string {
  return page(`${data.title ?? data.name}: report`, [
    header(data),
    findingsBlock(data),
    data.base === null ? notMeasured() : changes(data, data.base),
    benchmarksSection(data),
    training(data),
    pairs(data),
    explorationSection(data),
    opinionsSection(data),
    provenance(data),
  ]);
}

function header(data: ReportData): Markup {
  const command = data.command === null ? null : markup`<p class="meta"><code>${data.command}</code></p>`;
  return markup`<header><h1>${data.title ?? data.name}</h1>
<p class="meta">Run ${data.name} · ${data.createdAt} · reward: ${data.rewardName}</p>${command}${data.state === null ? null : markup`<p class="state" role="status">${data.state}</p>`}</header>`;
}

/** What a run without held-out prompts is told in place of its results. */
function notMeasured(): Markup {
  return markup`<h2 id="changed">What changed</h2>
<p class="empty">No held-out prompts, so nothing was measured: set evaluate.prompts to a file of prompts that training does not see, and run the same command again (or start a run with evaluate.holdOut).</p>`;
}

function changes(data: ReportData, base: EvaluationData): Markup[] {
  const methods = numbersOf(data);
  const prompts = new Set(base.promptIds).size;
  return [
    markup`<h2 id="changed">What changed</h2>
<p class="hint">Each point is a mean over ${prompts} held-out prompts (${base.rewards.length} responses of each policy); bars are 95 % bootstrap intervals over prompts. Iteration 0 is the model before training.</p>`,
    legendOf(data, 'methods'),
    markup`<div class="charts">${changeCharts(data, base, methods)}</div>`,
    numbersTable(methods),
    examples(data),
  ];
}

function findingsBlock(data: ReportData): Markup {
  const found = warnings(data);
  const list = (lines: string[]) => markup`<ul>${lines.map((line) => markup`<li>${line}</li>`)}</ul>`;
  return markup`<section class="verdict" aria-label="Result">${verdicts(data).map((line) => markup`<p>${line}</p>`)}<p class="hint">Last iterations; differences are paired by prompt, brackets are 95 % bootstrap intervals. A run has one seed: who wins here is a model, not a method; selm sweep compares over seeds.</p></section>
${found.length === 0 ? null : markup`<section class="warnings"><h3>Look at this first</h3>${list(found)}</section>`}
${data.notes.length === 0 ? null : markup`<section class="notes"><h3>Know before you quote a number</h3>${list(data.notes)}</section>`}`;
}

function legendOf(data: ReportData, which: 'methods' | 'with base'): Markup {
  const methods = data.methods.map(({ name, description }, index) => ({
    name: `${name} (${description})`,
    color: index + 1,
  }));
  return legend(which === 'methods' ? methods : [{ name: 'base (before training)', color: 0 }, ...methods]);
}

/** One line a method: a number of its policies over the iterations; policies without it have no point. */
function perIteration(methods: MethodNumbers[], read: (policy: PolicyNumbers) => Interval | number | null): Series[] {
  return methods.map(({ method, policies }, index) => ({
    name: method.name,
    color: index + 1,
    points: policies.flatMap((policy): ChartPoint[] => {
      const value = read(policy);
      if (value === null) return [];
      const point = typeof value === 'number' ? { y: value } : { y: value.value, low: value.low, high: value.high };
      return [{ x: policy.iteration, ...point, note: noteOf(method.name, policy.iteration, value) }];
    }),
  }));
}

function noteOf(name: string, iteration: number, value: Interval | number): string {
  const text = typeof value === 'number' ? fixed(value, 3) : plainInterval(value);
  return `${name}, iteration ${iteration}: ${text}`;
}

function changeCharts(data: ReportData, base: EvaluationData, methods: MethodNumbers[]): Markup[] {
  const last = Math.max(0, ...methods.flatMap(({ policies }) => policies.map(({ iteration }) => iteration)));
  const overIterations = {
    xLabel: 'iteration',
    xTicks: Array.from({ length: last + 1 }, (_, iteration) => iteration),
    xTick: (iteration: number) => (iteration === 0 ? '0 (base)' : String(iteration)),
  };
  const describe = (what: string) =>
    `${what}, by iteration, for ${data.methods.map(({ name }) => name).join(' and ')}. The numbers are in the table below.`;
  const charts = [
    lineChart({
      ...overIterations,
      title: 'Mean reward',
      description: describe('Mean reward'),
      yLabel: 'reward',
      series: perIteration(methods, ({ reward }) => reward),
    }),
    lineChart({
      ...overIterations,
      title: 'Win rate against the base',
      description: describe('Win rate against the base, ties one half'),
      yLabel: 'win rate',
      yRange: { low: 0, high: 1 },
      reference: { y: 0.5, label: 'no better than the base' },
      // The base against itself is one half by definition: the lines start there, without a bar.
      series: perIteration(methods, (policy) => policy.winRate ?? 0.5),
    }),
    rewardAgainstKl(methods),
    rewardHistogram(data, base),
    lineChart({
      ...overIterations,
      title: 'Response length',
      description: describe('Mean tokens a response'),
      yLabel: 'tokens',
      series: perIteration(methods, ({ length }) => length),
    }),
  ];
  if (base.textHealth !== null) {
    charts.push(
      lineChart({
        ...overIterations,
        title: 'Text soundness',
        description: describe('Mean soundness of the text, 1 is unbroken'),
        yLabel: 'soundness (1 = unbroken)',
        yRange: { low: 0, high: 1 },
        series: perIteration(methods, ({ textHealth }) => textHealth),
      }),
    );
  }
  return charts;
}

function rewardAgainstKl(methods: MethodNumbers[]): Markup {
  const series = methods.map(({ method, policies }, index) => ({
    name: method.name,
    color: index + 1,
    points: policies.flatMap(({ iteration, klToBase, reward }): ChartPoint[] => {
      const kl = iteration === 0 ? 0 : klToBase?.value;
      if (kl === undefined) return [];
      return [
        { x: kl, y: reward.value, low: reward.low, high: reward.high, note: noteOf(method.name, iteration, reward) },
      ];
    }),
  }));
  return lineChart({
    title: 'Reward bought with distance from the base',
    description: 'Mean reward over KL to the base, one point an iteration; higher at the same distance is better.',
    xLabel: 'KL(policy ‖ base), nats a response',
    yLabel: 'reward',
    series: series.some(({ points }) => points.length > 1) ? series : [],
    whenEmpty:
      'KL was not measured: it needs samples of the whole distribution: set evaluate.temperature to 1, sampling.topP to 1 and sampling.topK to 0',
  });
}

function rewardHistogram(data: ReportData, base: EvaluationData): Markup {
  const lasts = data.methods.flatMap((method, index) => {
    const last = method.iterations.at(-1);
    return last === undefined ? [] : [{ name: method.name, color: index + 1, evaluation: last.evaluation }];
  });
  const shown = [{ name: 'base', color: 0, evaluation: base }, ...lasts];
  const isGreedy = shown.every(({ evaluation }) => evaluation.greedy !== null);
  const all = shown.map(({ evaluation: { rewards, greedy }, ...each }) => ({
    ...each,
    rewards: isGreedy ? (greedy?.rewards ?? []) : rewards,
  }));
  const values = all.flatMap(({ rewards }) => rewards).filter(Number.isFinite);
  const low =
    data.rewardRange?.low ?? values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const top = data.rewardRange?.high ?? values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const high = top > low ? top : low + 1;
  return histogramChart({
    title: `Rewards of ${isGreedy ? 'greedy' : 'single'} responses: base (filled), last iteration (lines)`,
    description: 'Share of responses in each of twenty bins of reward.',
    xLabel: 'reward',
    yLabel: 'share of responses',
    low,
    high,
    series: all.map(({ name, color, rewards }) => ({
      name,
      color,
      shares: histogram(rewards, { low, high, bins: BINS }).counts.map((count) => count / Math.max(1, rewards.length)),
    })),
  });
}

/** A column of the table of numbers; one that no policy has a value in is left out. */
interface Column {
  head: string;
  cell(policy: PolicyNumbers): Markup | string | null;
}

const COLUMNS: readonly Column[] = [
  { head: 'mean reward', cell: ({ reward }) => intervalCell(reward) },
  { head: 'reward, 90th percentile', cell: ({ rewardTop }) => fixed(rewardTop, 3) },
  { head: 'win rate vs base', cell: ({ winRate }) => intervalCell(winRate) },
  {
    head: 'wins / ties / losses, %',
    cell: ({ winRate }) =>
      winRate === null
        ? null
        : [winRate.wins, winRate.ties, winRate.losses].map((share) => fixed(100 * share, 0)).join(' / '),
  },
  { head: 'win rate vs iteration before', cell: ({ winRateOverPrevious }) => intervalCell(winRateOverPrevious) },
  { head: 'KL to base, nats', cell: ({ klToBase }) => intervalCell(klToBase, 2) },
  { head: 'KL to previous, nats', cell: ({ klToPrevious }) => intervalCell(klToPrevious, 2) },
  { head: 'length, tokens', cell: ({ length }) => intervalCell(length, 1) },
  { head: 'text soundness', cell: ({ textHealth }) => intervalCell(textHealth) },
  { head: 'ended by itself', cell: ({ finishedShare }) => (finishedShare === null ? null : percent(finishedShare)) },
];

function intervalCell(value: Interval | null, digits = 3): Markup | null {
  if (value === null) return null;
  return markup`${fixed(value.value, digits)} <span class="hint">[${fixed(value.low, digits)}, ${fixed(value.high, digits)}]</span>`;
}

function numbersTable(methods: MethodNumbers[]): Markup {
  const all = methods.flatMap(({ policies }) => policies);
  const columns = COLUMNS.filter(({ cell }) => all.some((policy) => cell(policy) !== null));
  const row = (name: string, policy: PolicyNumbers) =>
    markup`<tr><td>${name}</td>${columns.map(({ cell }) => markup`<td>${cell(policy) ?? ''}</td>`)}</tr>`;
  const rows = methods.map(({ method, policies }) => [
    markup`<tr class="group"><th colspan="${columns.length + 1}" scope="rowgroup">${method.name} <span class="hint">${method.description}</span></th></tr>`,
    policies.slice(1).map((policy) => row(`iteration ${policy.iteration}`, policy)),
  ]);
  const base = all[0];
  return table(
    'Numbers of every policy, with 95 % intervals',
    ['policy', ...columns.map(({ head }) => head)],
    [base === undefined ? null : row('base', base), rows],
  );
}

function examples(data: ReportData): Markup {
  const colorOf = (by: string) => data.methods.findIndex(({ name }) => name === by) + 1; // the base is 0
  const shown = data.examples.map(({ promptId, prompt, answers }) => {
    const cards = answers.map(({ by, text, reward, textHealth }) => {
      const facts = [
        reward === null ? [] : [`reward ${fixed(reward, 3)}`],
        textHealth === null ? [] : [`soundness ${fixed(textHealth, 2)}`],
        wordsOf(text).length < 2 ? [] : [`distinct word pairs ${percent(distinctShare([text], 2))}`],
      ].flat();
      return markup`<div class="answer c${colorOf(by)}"><h4>${by}</h4>${textOf(text)}<div class="hint">${facts.join(' · ')}</div></div>`;
    });
    return markup`<article class="example" aria-label="Prompt ${promptId}"><p class="prompt" dir="auto">${prompt}</p><div class="answers">${cards}</div></article>`;
  });
  return markup`<h2 id="samples">The same prompts, before and after</h2>${shown.length === 0 ? markup`<p class="empty">No examples were kept.</p>` : shown}`;
}

function textOf(text: string): Markup {
  return text.trim() === '' ? markup`<p class="empty">(empty response)</p>` : markup`<p dir="auto">${text}</p>`;
}

function training(data: ReportData): Markup {
  const offsets = new Map<number, number>();
  for (const { training: points } of data.methods) {
    for (const { iteration, step } of points) offsets.set(iteration, Math.max(offsets.get(iteration) ?? 0, step));
  }
  let total = 0;
  const starts = new Map(
    [...offsets]
      .sort(([a], [b]) => a - b)
      .map(([iteration, steps]) => {
        const start = total;
        total += steps;
        return [iteration, start];
      }),
  );
  const marks = [...starts.values()].slice(1).map((start) => start + 0.5);
  const curve = (
    title: string,
    yLabel: string,
    read: (point: TrainingPoint) => number | null,
    options: Pick<LineChartOptions, 'yRange' | 'reference' | 'style'> = {},
  ) =>
    lineChart({
      title,
      description: `${title} over the optimiser steps of all iterations; dashed lines are where an iteration begins.`,
      xLabel: 'step',
      yLabel,
      style: 'trace',
      marks,
      ...options,
      series: data.methods.map((method, index) => ({
        name: method.name,
        color: index + 1,
        points: method.training.flatMap((point) => {
          const y = read(point);
          return y === null ? [] : [{ x: (starts.get(point.iteration) ?? 0) + point.step, y }];
        }),
      })),
    });
  const hasRewards = data.methods.some((method) => method.training.some(({ rewardChosen }) => rewardChosen !== null));
  return markup`<h2 id="training">Training</h2>
<p class="hint">Faint lines are the steps, strong lines a running mean. Dashed lines are where an iteration begins: with its start as the reference, the loss begins again at ln 2, and the accuracy at 0, since every pair ties there.</p>
${legendOf(data, 'methods')}
<div class="charts">${[
    curve('Loss', 'loss', ({ loss }) => loss, { reference: { y: Math.LN2, label: 'ln 2' } }),
    curve('Reward margin', 'chosen − rejected', ({ margin }) => margin),
    curve('Accuracy', 'share of pairs', ({ accuracy }) => accuracy, { yRange: { low: 0, high: 1 } }),
    curve('Learning rate', 'learning rate', ({ learningRate }) => learningRate, { style: 'line' }),
    hasRewards ? curve('Reward of the chosen', 'β · log-ratio', ({ rewardChosen }) => rewardChosen) : null,
    data.methods.some((method) => method.training.some(({ gradientNorm }) => gradientNorm !== null))
      ? curve('Gradient norm', 'norm', ({ gradientNorm }) => gradientNorm)
      : null,
  ]}</div>`;
}

function pairs(data: ReportData): Markup {
  const rows = data.methods.map((method) => [
    markup`<tr class="group"><th colspan="10" scope="rowgroup">${method.name}</th></tr>`,
    method.pairs.map((counts) => {
      const skipped = counts.skipped.map(({ reason, count }) => `${count} ${reason}`).join(', ');
      const { chosenFrom, rejectedFrom } = counts;
      return markup`<tr><td>iteration ${counts.iteration}</td><td>${counts.pairs}</td><td>${chosenFrom.response}</td><td>${chosenFrom.chosen}${chosenFrom.edit === undefined ? '' : ` + ${chosenFrom.edit} edited by people`}</td><td>${chosenFrom.rejected}</td><td>${rejectedFrom.response}</td><td>${rejectedFrom.chosen}</td><td>${rejectedFrom.rejected}</td><td>${counts.ties}</td><td>${skipped === '' ? 'none' : skipped}</td></tr>`;
    }),
  ]);
  const head = [
    'iteration',
    'pairs',
    'chosen ← sample',
    'chosen ← data’s chosen',
    'chosen ← data’s rejected',
    'rejected ← sample',
    'rejected ← data’s chosen',
    'rejected ← data’s rejected',
    'with a tie',
    'prompts without a pair',
  ];
  return markup`<h2 id="pairs">Where the pairs came from</h2>${table('Pairs by origin', head, rows)}${sourcesSection(data)}`;
}

function provenance(data: ReportData): Markup {
  const total = data.timings.reduce((seconds, timing) => seconds + timing.seconds, 0);
  const rows = data.timings.map(
    ({ stage, method, iteration, seconds }) =>
      markup`<tr><td>${stage}</td><td>${method}</td><td>${iteration ?? ''}</td><td>${duration(seconds)}</td><td>${percent(seconds / total)}</td></tr>`,
  );
  const memory = data.peakMemoryBytes === null ? [] : [{ label: 'peak memory', value: bytes(data.peakMemoryBytes) }];
  return markup`<h2 id="provenance">How it was made</h2>
<h3>Settings</h3>${factTable('Settings', data.settings)}
<h3>Seeds</h3>${factTable('Seeds', [...data.seeds, { label: 'bootstrap intervals', value: String(data.statisticsSeed) }])}
<h3>Machine</h3>${factTable('Machine', [...data.machine, ...memory])}
<h3>Time, ${duration(total)} in all</h3>${table('Time by stage', ['stage', 'method', 'iteration', 'time', 'share'], rows)}
<h3>Data audit</h3><pre>${data.audit}</pre>`;
}

function duration(seconds: number): string {
  if (seconds < 60) return `${fixed(seconds, 1)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  const rest = Math.round(seconds) - 60 * minutes;
  return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function bytes(count: number): string {
  return count < 2 ** 30 ? `${fixed(count / 2 ** 20, 0)} MiB` : `${fixed(count / 2 ** 30, 2)} GiB`;
}
