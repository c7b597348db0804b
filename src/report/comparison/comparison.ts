/**
 * @file A comparison of runs as one HTML file that asks the network for nothing, as Markdown, and as JSON: the same numbers in
 * all three.
 */
import { type Markup, markup } from '../markup.ts';
import { page, table } from '../page.ts';
import { asMarkdown, sheetMarkdown, sheetMarkup } from '../sheet.ts';
import { benchmarkDifferencesSheet, benchmarksSheet } from './benchmark-sheets.ts';
import { distributionCharts, drawnResponses, implicitRewardCharts, iterationCharts, settingCharts } from './charts.ts';
import { COMPARISON_FORMAT_VERSION, type ComparedArm, type ComparisonData } from './comparison-data.ts';
import { armComparisons, benchmarkComparisons } from './differences.ts';
import { equalLengths, equalLengthsPicture, equalLengthsSheet } from './equal-lengths.ts';
import { judgedNumbers } from './judged.ts';
import { benchmarkRows, lastOf, modelNumbers } from './numbers.ts';
import { benchmarkSentence, comparisonSentence } from './sentences.ts';
import { differencesSheet, judgedSheet, modelsSheet } from './sheets.ts';
import { wordDifferences } from './word-differences.ts';

const EXAMPLES = 3;
/** Answers beside each other that a person reads. */
const MOST_ANSWERS = 6;

/** One sentence for each arm against the baseline, the decided ones first; with a single arm, that there is nothing to compare. */
export function comparisonVerdicts(data: ComparisonData): string[] {
  const comparisons = armComparisons(data);
  if (comparisons.length === 0) return ['There is one arm with measurements, so that nothing is compared.'];
  const order = ['above', 'below', 'undecided', 'too few'] as const;
  const benchmarks = benchmarkComparisons(data);
  return [
    ...order
      .flatMap((side) => comparisons.filter((comparison) => comparison.side === side))
      .map((comparison) => comparisonSentence(comparison, comparisons.length)),
    // The table has the others: arms times benchmarks are many sentences that say nothing.
    ...benchmarks
      .filter(({ side }) => side === 'above' || side === 'below')
      .map((comparison) => benchmarkSentence(comparison, benchmarks.length)),
  ];
}

/** One self-contained HTML document. */
export function renderComparison(data: ComparisonData): string {
  const settings = settingCharts(data);
  const implicit = implicitRewardCharts(data);
  const judged = equalLengths(data);
  return page(`${data.title}: comparison`, [
    markup`<header><h1>${data.title}</h1><p class="meta">${countText(data)} · ${data.createdAt} · reward: ${data.rewardName}</p></header>`,
    verdictBlock(data),
    section('Models', 'models', [
      sheetMarkup(modelsSheet(data)),
      sheetMarkup(judgedSheet(data)),
      iterationCharts(data),
    ]),
    section('Differences', 'differences', [sheetMarkup(differencesSheet(data))]),
    settings === null ? null : section('By setting', 'settings', [settings]),
    section('Public benchmarks', 'benchmarks', [
      sheetMarkup(benchmarksSheet(data)),
      sheetMarkup(benchmarkDifferencesSheet(data)),
    ]),
    section('AlpacaEval at equal lengths', 'equal-lengths', [
      sheetMarkup(equalLengthsSheet(judged)),
      equalLengthsPicture(judged),
    ]),
    section('Distribution of rewards', 'distribution', [
      markup`<p class="hint">${distributionText(data)}</p>`,
      distributionCharts(data),
    ]),
    implicit === null ? null : section('Implicit rewards', 'implicit', [implicitHint(data), implicit]),
    section('The same prompts', 'samples', examples(data)),
    section('Runs', 'runs', [runsTable(data)]),
  ]);
}

/** Which responses the distributions are of. */
function distributionText(data: ComparisonData): string {
  const drawn = drawnResponses(data);
  const kept = 'responses to the held-out prompts, over all seeds';
  return drawn.kind === 'greedy'
    ? `Greedy ${kept}.`
    : `Sampled ${kept}, at temperature ${drawn.temperatures.join(' or ')}; with evaluate.greedy the runs have greedy ones, as the paper's Figure 3.`;
}

function countText({ arms }: ComparisonData): string {
  const runs = new Set(arms.flatMap((arm) => arm.runs.map(({ path }) => path))).size;
  return `${arms.length} ${arms.length === 1 ? 'arm' : 'arms'}, ${runs} ${runs === 1 ? 'run' : 'runs'}`;
}

/** A heading and what is below it; nothing where that is nothing. */
function section(title: string, id: string, content: (Markup | null)[]): Markup | null {
  if (content.every((part) => part === null)) return null;
  return markup`<h2 id="${id}">${title}</h2>${content}`;
}

function verdictBlock(data: ComparisonData): Markup[] {
  const notes = [...data.notes, ...nameNotes(data.arms)];
  return [
    markup`<section class="verdict" aria-label="Result">${comparisonVerdicts(data).map((line) => markup`<p>${line}</p>`)}</section>`,
    notes.length === 0
      ? markup``
      : markup`<section class="notes" aria-label="Know before you quote a number"><p><strong>Know before you quote a number</strong></p><ul>${notes.map((line) => markup`<li>${line}</li>`)}</ul></section>`,
  ];
}

/** Which points of other grids an arm is as well. */
function nameNotes(arms: readonly ComparedArm[]): string[] {
  return arms.flatMap(({ label, points }) => {
    const others = points.map((point) => point.label).filter((name) => name !== label);
    return others.length === 0
      ? []
      : [`${label} is also ${others.join(', and ')}: one set of runs stands at all of these points.`];
  });
}

function implicitHint({ implicitRewards }: ComparisonData): Markup {
  const [first] = implicitRewards;
  return markup`<p class="hint">For each response, beta times the log-ratio of the last policy to the base, of one model minus that of the other; sorted. ${first?.chosen.length ?? 0} pairs, seed ${first?.seed ?? 0}; they say most where no model was trained on them.</p>`;
}

/** Three prompts, evenly spread: the base's answer, and each arm's last with what the baseline's does not say marked. */
function examples(data: ComparisonData): Markup[] {
  const arms = [...data.arms].sort((a, b) => Number(b.name === data.baseline) - Number(a.name === data.baseline));
  const [first] = arms;
  const run = first?.runs[0];
  const base = run?.evaluations.get(0);
  if (first === undefined || run === undefined || base === undefined) return [];
  const prompts = [...new Map(base.answers.map((answer) => [answer.promptId, answer.prompt]))];
  const count = Math.min(EXAMPLES, prompts.length);
  const picked = Array.from({ length: count }, (_, i) => prompts[Math.floor((i * prompts.length) / count)] ?? ['', '']);
  const articles = picked.map(([promptId = '', prompt = '']) => {
    const answers = arms.slice(0, MOST_ANSWERS - 1).flatMap((arm) => {
      const own = arm.runs.find(({ seed }) => seed === run.seed) ?? arm.runs[0];
      const last = own === undefined ? null : lastOf(own);
      const index = last?.answers.findIndex((answer) => answer.promptId === promptId) ?? -1;
      const text = last?.answers[index]?.text;
      return text === undefined ? [] : [{ arm, text, reward: last?.data.rewards[index] ?? Number.NaN }];
    });
    const own = answers.find(({ arm }) => arm === first)?.text ?? '';
    const baseIndex = base.answers.findIndex((answer) => answer.promptId === promptId);
    const cards = [
      answerCard('base', 0, base.data.rewards[baseIndex] ?? Number.NaN, markup`${base.answers[baseIndex]?.text ?? ''}`),
      // The charts' colours: an arm's place among all.
      ...answers.map(({ arm, text, reward }) =>
        answerCard(arm.label, data.arms.indexOf(arm) + 1, reward, arm === first ? markup`${text}` : marked(text, own)),
      ),
    ];
    return markup`<article class="example" aria-label="Prompt ${promptId}"><p class="prompt" dir="auto">${prompt}</p><div class="answers">${cards}</div></article>`;
  });
  const more = data.arms.length - (MOST_ANSWERS - 1);
  const hint = `Answers of the last iterations, seed ${run.seed}; marked is what the answer of ${first.label} does not say${more > 0 ? `. ${more} further arms are not shown` : ''}.`;
  return [markup`<p class="hint">${hint}</p>`, ...articles];
}

function answerCard(by: string, color: number, reward: number, text: Markup): Markup {
  const shown =
    text.text.trim() === '' ? markup`<p class="empty">(empty response)</p>` : markup`<p dir="auto">${text}</p>`;
  return markup`<div class="answer c${color}"><h3>${by}</h3>${shown}<div class="hint">reward ${Number.isFinite(reward) ? reward.toFixed(3) : 'n/a'}</div></div>`;
}

function marked(text: string, other: string): Markup {
  return markup`${wordDifferences(text, other).map((stretch) => (stretch.isOwn ? markup`<mark>${stretch.text}</mark>` : markup`${stretch.text}`))}`;
}

function runsTable({ arms }: ComparisonData): Markup {
  const rows = arms.flatMap((arm) =>
    arm.runs.map(
      ({ seed, path, seconds, state }) =>
        markup`<tr><th scope="row">${arm.label}</th><td>${seed}</td><td>${minutes(seconds)}</td><td>${state ?? 'finished'}</td><td>${path}</td></tr>`,
    ),
  );
  return table('Runs of the comparison', ['arm', 'seed', 'time', 'state', 'folder'], rows);
}

function minutes(seconds: number): string {
  return seconds < 120 ? `${seconds.toFixed(0)} s` : `${(seconds / 60).toFixed(1)} min`;
}

/** The same as Markdown. */
export function comparisonMarkdown(data: ComparisonData): string {
  const sheets = [
    modelsSheet(data),
    judgedSheet(data),
    differencesSheet(data),
    benchmarksSheet(data),
    benchmarkDifferencesSheet(data),
    equalLengthsSheet(equalLengths(data)),
  ].flatMap((sheet) => sheet ?? []);
  const notes = [...data.notes, ...nameNotes(data.arms)];
  return `${[
    `# ${asMarkdown(data.title)}`,
    '',
    `${countText(data)}. ${data.createdAt}. Reward: ${asMarkdown(data.rewardName)}.`,
    '',
    ...comparisonVerdicts(data).map((line) => `- ${asMarkdown(line)}`),
    ...(notes.length === 0
      ? []
      : ['', '## Know before you quote a number', '', ...notes.map((line) => `- ${asMarkdown(line)}`)]),
    ...sheets.flatMap((sheet) => [
      '',
      `## ${asMarkdown(sheet.caption)}`,
      '',
      asMarkdown(sheet.explanation),
      '',
      ...sheetMarkdown(sheet),
    ]),
  ].join('\n')}\n`;
}

/** Every number of the comparison, for programs. NaN is null. */
export function comparisonJson(data: ComparisonData): string {
  const { title, createdAt, rewardName, baseline, notes, arms, implicitRewards, results } = data;
  return JSON.stringify({
    formatVersion: COMPARISON_FORMAT_VERSION,
    ...{ title, createdAt, rewardName, baseline, notes },
    arms: arms.map(({ name, label, points, runs }) => ({
      ...{ name, label, points },
      runs: runs.map(({ seed, path, seconds, state }) => ({ seed, path, seconds, state })),
    })),
    models: modelNumbers(data),
    judged: modelNumbers(data).map(({ arm, label, iteration }) => ({
      ...{ arm, label, iteration },
      ...judgedNumbers(data, { arm, label, iteration }),
    })),
    comparisons: armComparisons(data),
    benchmarks: benchmarkRows(data),
    benchmarkComparisons: benchmarkComparisons(data),
    equalLengths: equalLengths(data),
    implicitRewards,
    results,
    verdicts: comparisonVerdicts(data),
  });
}
