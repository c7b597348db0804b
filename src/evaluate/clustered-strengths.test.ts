import { expect, test } from 'vitest';
import { randomKey, uniformAt } from '../random.ts';
import { bradleyTerry } from './bradley-terry.ts';
import { type ClusteredMatch, clusteredStrengths } from './clustered-strengths.ts';

const key = randomKey(3, 'made votes');

/** Votes of five annotators on forty prompts; `isShared`: a prompt decides for all of them. */
function votes(isShared: boolean): ClusteredMatch[] {
  return Array.from({ length: 200 }, (_, n) => {
    const [prompt, annotator] = [n % 40, Math.floor(n / 40)];
    const won = uniformAt(key, isShared ? prompt : n) < 0.6 ? 1 : 0;
    return { first: 0, second: 1, won, prompt: `p${prompt}`, annotator: isShared ? 'all' : `a${annotator}` };
  });
}

const widthOf = ([first]: { low: number; high: number }[]): number => (first?.high ?? 0) - (first?.low ?? 0);

test('five equal votes on a prompt say as much as one: the interval is about the root of five wider', () => {
  const ratio = widthOf(clusteredStrengths(2, votes(true), { seed: 0 })) / widthOf(bradleyTerry(2, votes(true)));
  // sqrt(5) = 2.24; the standard error of a quantile of 300 resamples is about 8 % of the width.
  expect(ratio).toBeGreaterThan(1.8);
  expect(ratio).toBeLessThan(2.7);
});

test('votes that share nothing have about the interval of independent ones, and never a narrower one', () => {
  const alone = votes(false).map((vote, n) => ({ ...vote, prompt: `p${n}`, annotator: 'one' }));
  const ratio = widthOf(clusteredStrengths(2, alone, { seed: 0 })) / widthOf(bradleyTerry(2, alone));
  expect(ratio).toBeGreaterThanOrEqual(1);
  expect(ratio).toBeLessThan(1.25);
});

test('the strengths are those of independent votes, and one vote or none is no trouble', () => {
  const made = votes(true);
  expect(clusteredStrengths(2, made, { seed: 0 }).map(({ value }) => value)).toEqual(
    bradleyTerry(2, made).map(({ value }) => value),
  );
  expect(clusteredStrengths(2, [], { seed: 0 })).toEqual(bradleyTerry(2, []));
  expect(widthOf(clusteredStrengths(2, made.slice(0, 1), { seed: 0 }))).toBeGreaterThan(1);
});
