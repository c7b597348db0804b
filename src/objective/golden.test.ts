/**
 * @file Every objective against TRL's own loss functions, and torch's autograd where TRL has none, on random steps of
 * pairs. Values and derivatives by each log-probability: scripts/fixtures/objectives.py.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ObjectiveOptions, PairInput } from './objective.ts';
import { logRatios, pairObjective } from './objective.ts';
import { ktoBaseline, NO_BASELINE, needsBaseline } from './preference.ts';

type LogProbs = { chosen: number; rejected: number; response: number };
interface Case extends ObjectiveOptions {
  /** Who computed it. */
  source: string;
  pairs: PairInput[];
  /** Mean over the pairs, and its derivatives. */
  loss: number;
  gradients: LogProbs[];
}

const file = new URL('../../test/fixtures/objectives/losses.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Case[] };

describe('pairObjective() over a step equals', () => {
  it.each(cases.map((each, index) => ({ ...each, index })))(
    '$source: $preference with $exploration, case $index',
    ({ pairs, preference, exploration, chosenLikelihood = 0, loss, gradients }) => {
      const baseline = needsBaseline(preference) ? ktoBaseline(pairs.map(logRatios)) : NO_BASELINE;
      const results = pairs.map((pair) => pairObjective(pair, { preference, exploration, chosenLikelihood }, baseline));
      const mean = results.reduce((sum, result) => sum + result.loss, 0) / pairs.length;
      // float64 on both sides; sums of squares (sppo) reach 1e6, hence relative.
      expect(Math.abs(mean - loss)).toBeLessThanOrEqual(1e-11 * Math.max(1, Math.abs(loss)));
      for (const [index, expected] of gradients.entries()) {
        for (const sequence of ['chosen', 'rejected', 'response'] as const) {
          const slope = (results[index]?.gradient[sequence] ?? Number.NaN) / pairs.length;
          expect(Math.abs(slope - expected[sequence])).toBeLessThanOrEqual(
            1e-11 * Math.max(1e-3, Math.abs(expected[sequence])),
          );
        }
      }
    },
  );

  it('at least one case of every loss, of every exploration term and of a weighed likelihood', () => {
    expect(new Set(cases.map(({ preference }) => preference.kind))).toEqual(
      new Set(['dpo', 'dpop', 'ipo', 'hinge', 'sppo', 'kto']),
    );
    expect(new Set(cases.map(({ exploration }) => exploration.kind))).toEqual(
      new Set(['none', 'selm', 'xpo', 'popo', 'held', 'vpo']),
    );
    expect(cases.some(({ chosenLikelihood = 0 }) => chosenLikelihood > 0)).toBe(true);
  });
});
