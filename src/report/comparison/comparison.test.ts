/** @file The page of a comparison: what stands in it, that it is one file, that a screen reader can follow, and that text stays text. */
import { expect, it } from 'vitest';
import { comparisonJson, comparisonMarkdown, renderComparison } from './comparison.ts';
import { armOf, comparisonOf, runOf, scoresOf } from './comparison-fixture.testing.ts';
import { readModelResults } from './result-files.ts';
import { summariseComparison } from './summary.ts';
import { wordDifferences } from './word-differences.ts';

const base = Array.from({ length: 24 }, (_, i) => 0.2 + 0.01 * (i % 5));
const gained = (by: number): number[] => base.map((reward, i) => reward + by + 0.003 * (i % 3));
const alpha = (value: number, text = 'A dog ran.') =>
  armOf(
    `alpha-${value}`,
    [1, 2, 3].map((seed) =>
      runOf(seed, {
        base,
        last: gained(value + 0.001 * seed),
        text,
        benchmarks: [1, 0].map((iteration) => ({
          iteration,
          scores: [scoresOf('arc', [1, 0, 1]), scoresOf('gsm8k', [0, 0, 1])],
        })),
      }),
    ),
    { settings: { 'objective.exploration.alpha': value }, grid: 0 },
  );
const data = comparisonOf([alpha(0), alpha(0.01), alpha(0.1, 'A <b>cat</b> ran.')], {
  notes: ['The runs <i>differ</i>.'],
  implicitRewards: [
    { arm: 'alpha-0.1', baseline: 'alpha-0', seed: 1, beta: 0.1, chosen: [0.3, -0.1, 0.2], rejected: [0.1, 0.2, -0.3] },
  ],
});
const page = renderComparison(data);

it('is one file without script, request or foreign markup', () => {
  expect(page).toMatch(/^<!doctype html>/);
  expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)|url\(|<b>|<i>/);
  expect(page).toContain('&lt;b&gt;');
});

it('has every section once, under a heading with its name', () => {
  const ids = ['models', 'differences', 'settings', 'benchmarks', 'distribution', 'implicit', 'samples', 'runs'];
  for (const id of ids) expect(page.match(new RegExp(`<h2 id="${id}">`, 'g')), id).toHaveLength(1);
});

it('can be read by who cannot see it: captions, scopes, and figures with a text', () => {
  const tables = page.match(/<table/g)?.length ?? 0;
  expect(tables).toBe(5);
  expect(page.match(/<caption>[^<]+<\/caption>/g)).toHaveLength(tables);
  expect(page.match(/<svg viewBox[^>]*role="img" aria-label="[^"]{20,}"/g)?.length).toBe(
    page.match(/<figure>/g)?.length,
  );
  expect(page.match(/<tr><td>/g)).toBeNull(); // every row begins with its head
  const levels = [...page.matchAll(/<h([1-6])/g)].map(([, level]) => Number(level));
  expect(levels.filter((level, i) => i > 0 && level > (levels[i - 1] ?? 0) + 1)).toEqual([]);
});

it('marks in an answer what the baseline does not say', () => {
  expect(page).toMatch(/<mark>&lt;b&gt;cat&lt;\/b&gt; <\/mark>ran\./);
  expect(wordDifferences('a b  c d', 'b c')).toEqual([
    { text: 'a ', isOwn: true },
    { text: 'b  c ', isOwn: false },
    { text: 'd', isOwn: true },
  ]);
});

it('gives the answers of an arm the colour of its lines, whichever arm is the baseline', () => {
  const { arms } = data;
  const other = renderComparison({ ...data, baseline: 'alpha-0.1' });
  for (const shown of [page, other]) {
    for (const [index, { label }] of arms.entries()) {
      expect(shown).toContain(`<div class="answer c${index + 1}"><h3>${label}</h3>`);
    }
  }
});

it('draws the end reward over the values of a setting, numbers by their size', () => {
  const chart = page.slice(page.indexOf('<h2 id="settings">')).match(/<svg[\s\S]*?<\/svg>/)?.[0] ?? '';
  expect([...chart.matchAll(/<text[^>]*>(0|0\.01|0\.1)<\/text>/g)].map(([, text]) => text)).toEqual([
    '0',
    '0.01',
    '0.1',
  ]);
  expect(chart.match(/class="marker/g)).toHaveLength(3);
});

it('has the same numbers in Markdown and JSON, and a summary of few lines', () => {
  const json = JSON.parse(comparisonJson(data)) as {
    models: { arm: string; reward: { value: number } }[];
    verdicts: string[];
  };
  const reward = json.models.find(({ arm }) => arm === 'alpha-0.1')?.reward.value ?? 0;
  const markdown = comparisonMarkdown(data);
  for (const text of [page, markdown]) expect(text).toContain(reward.toFixed(3));
  expect(markdown).toContain('| alpha-0.1 (iteration 1) | 24 × 3 |');
  expect(markdown).toContain('The runs \\<i\\>differ\\</i\\>.');
  expect(json.verdicts.some((line) => line.startsWith('alpha-0.1 beat alpha-0: '))).toBe(true);
  expect(summariseComparison(data).split('\n').length).toBeLessThan(20);
});

it('takes up what selm eval printed of a model, with its errors and n, and refuses what it did not print', () => {
  const placed = [
    {
      win_rate: 21.3,
      standard_error: 1.4,
      n_total: 805,
      length_controlled_winrate: 23.45,
      lc_standard_error: 0.7,
      avg_length: 1500,
    },
    { turn1: 7.1, turn2: 6.2, average: 6.65, rows: 160, unparsed: 1 },
    {
      model: 'm',
      benchmarks: {
        boolq: {
          title: 'BoolQ',
          shots: 0,
          main_metric: 'acc',
          metrics: { acc: { value: 0.71, low: 0.6, high: 0.8, n: 90 } },
        },
      },
    },
  ].map((value) => ({ ...readModelResults(value, 'results.json'), arm: 'alpha-0.1', iteration: 1 }));
  const text = comparisonMarkdown({ ...data, results: placed });
  expect(text).toContain('| 23.45 (± 0.70 (SE), n = 805) | 21.30 (± 1.40 (SE), n = 805; 1500 characters) |');
  expect(text).toContain('| 7.10 | 6.20 | 6.65 (n = 160, 1 unparsed) |');
  expect(text).toContain('| 0.710 ([0.600, 0.800], n = 90) |');
  expect(() => readModelResults({ score: 3 }, 'other.json')).toThrow(/Cannot use the results in "other.json"/);
});

it('distributions say which responses they are of: greedy ones where all models have them, else the temperature', () => {
  const arms = data.arms.map((arm) => ({
    ...arm,
    runs: arm.runs.map((run) => ({
      ...run,
      evaluations: new Map(
        [...run.evaluations].map(([iteration, each]) => [
          iteration,
          { ...each, data: { ...each.data, greedy: { promptIds: ['p'], rewards: [0.123] } } },
        ]),
      ),
    })),
  }));
  const greedy = renderComparison({ ...data, arms });
  expect(greedy).toContain('Greedy responses to the held-out prompts, over all seeds.');
  expect(greedy).toContain('base (3 responses)');
  expect(renderComparison(data)).toContain(
    'Sampled responses to the held-out prompts, over all seeds, at temperature 0.7;',
  );
});
