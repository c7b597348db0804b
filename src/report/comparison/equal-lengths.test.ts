/** @file The matrix of win rates at equal lengths among the models of several runs. */
import { describe, expect, it } from 'vitest';
import type { JudgedFit } from '../../store/length-control.ts';
import { comparisonMarkdown, renderComparison } from './comparison.ts';
import type { ComparedArm } from './comparison-data.ts';
import { armOf, comparisonOf, runOf } from './comparison-fixture.testing.ts';
import { equalLengths } from './equal-lengths.ts';

/** A fit whose model beats the baseline by a logit of `bias` on all of 40 instructions, give or take a little from draw to draw. */
function fitOf(bias: number, basis = 'judge'): JudgedFit {
  const places = Array.from({ length: 40 }, (_, place) => place);
  return {
    basis,
    c: 2.78,
    weights: { length: 0, difficulty: 0.3, bias },
    draws: Array.from({ length: 200 }, (_, draw) => ({ difficulty: 0.3, bias: bias + 0.1 * Math.sin(draw) })),
    places,
    difficulties: places.map((place) => Math.sin(place)),
  };
}

/** An arm whose runs, one a seed, have a base and a trained model. */
function judgedArm(name: string, bySeed: readonly { base: JudgedFit; last: JudgedFit }[]): ComparedArm {
  const runs = bySeed.map(({ base, last }, index) =>
    runOf(index + 1, {
      base: [0, 0.5],
      last: [0.5, 1],
      fits: new Map([
        [0, base],
        [1, last],
      ]),
    }),
  );
  return armOf(name, runs);
}

const base = fitOf(-2);
const data = comparisonOf([
  judgedArm('dpo', [{ base, last: fitOf(-1) }]),
  judgedArm('selm', [{ base, last: fitOf(-0.5) }]),
]);

describe('the matrix at equal lengths', () => {
  it('has the base once and every trained model, with rates whose opposite cells sum to 1', () => {
    const found = equalLengths(data);
    expect(found?.models.map(({ label, iteration }) => `${label} ${iteration}`)).toEqual(['base 0', 'dpo 1', 'selm 1']);
    found?.rates.forEach((row, i) => {
      row.forEach((rate, j) => {
        if (i === j) expect(rate).toBeNull();
        else expect((rate?.value ?? 0) + (found.rates[j]?.[i]?.value ?? 0)).toBe(1);
      });
    });
    // Difficulty cancels: sigmoid(0.5) whatever the instruction.
    expect(found?.rates[2]?.[1]?.value).toBeCloseTo(1 / (1 + Math.exp(-0.5)), 12);
    expect(found?.rates[2]?.[1]?.count).toBe(40);
  });

  it('pairs runs by seed and takes their mean', () => {
    const arms = [
      judgedArm('dpo', [
        { base, last: fitOf(-1) },
        { base, last: fitOf(-1) },
      ]),
      judgedArm('selm', [
        { base, last: fitOf(0) },
        { base, last: fitOf(-1) },
      ]),
    ];
    const rate = equalLengths(comparisonOf(arms))?.rates[2]?.[1];
    expect(rate?.value).toBeCloseTo((1 / (1 + Math.exp(-1)) + 0.5) / 2, 12);
  });

  it('leaves out what another judge judged, and says so; of fewer than two models there is none', () => {
    const other = judgedArm('other', [{ base: fitOf(-2, 'another'), last: fitOf(1, 'another') }]);
    const found = equalLengths(comparisonOf([...data.arms, other]));
    expect(found?.models.map(({ label }) => label)).not.toContain('other');
    expect(found?.notes).toEqual([
      '1 models were judged by another judge or against another baseline and are left out.',
    ]);
    expect(equalLengths(comparisonOf([armOf('a', [runOf(1, { base: [0], last: [1] })])]))).toBeNull();
  });

  it('is a table and a picture in the page and a table in Markdown, with interval and n in every cell', () => {
    const page = renderComparison(data);
    expect(page).toContain('AlpacaEval at equal lengths');
    expect(page).toMatch(/<title>selm, it. 1 over dpo, it. 1: 62\.25 %<\/title>/);
    expect(comparisonMarkdown(data)).toMatch(
      /\| selm, it. 1 \| 38\.\d+ \(\[\d+\.\d, \d+\.\d\], n = 40\) \| 8\d\.\d+ \(.*n = 40\) \| 62\.25 \(/,
    );
  });
});
