import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type ObjectiveOptions, type PairInput, pairObjective } from './objective.ts';
import { NO_BASELINE, type PreferenceLoss, preferenceTerm } from './preference.ts';
import { labelledTerm } from './soft-label.ts';

interface Case {
  preference: PreferenceLoss;
  pairs: PairInput[];
  /** Mean over the pairs, and its derivatives. */
  loss: number;
  gradients: { chosen: number; rejected: number }[];
}

const file = new URL('../../test/fixtures/objectives/soft-labels.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Case[] };

it.each(cases)('$preference.kind under soft labels and weights is what torch computes', (each) => {
  const options: ObjectiveOptions = { preference: each.preference, exploration: { kind: 'none' } };
  const results = each.pairs.map((pair) => pairObjective(pair, options));
  const count = results.length;
  // float64 on both sides; sums of squares (sppo) are large, hence relative.
  const close = (ours = Number.NaN, theirs = Number.NaN): void =>
    expect(Math.abs(ours - theirs)).toBeLessThanOrEqual(1e-12 * Math.max(1e-3, Math.abs(theirs)) * 10);
  close(results.reduce((sum, { loss }) => sum + loss, 0) / count, each.loss);
  for (const [index, expected] of each.gradients.entries()) {
    close((results[index]?.gradient.chosen ?? Number.NaN) / count, expected.chosen);
    close((results[index]?.gradient.rejected ?? Number.NaN) / count, expected.rejected);
  }
});

const lengths = { chosen: 3, rejected: 5 };
const dpo = { kind: 'dpo', beta: 0.1, labelSmoothing: 0 } as const;

it('the certain label is no label, bit for bit, and an even one pulls the two together', () => {
  fc.assert(
    fc.property(
      fc.double({ min: -50, max: 50, noNaN: true }),
      fc.double({ min: -50, max: 50, noNaN: true }),
      (a, b) => {
        const pair = { chosen: a, rejected: b, lengths };
        const settings = { preference: dpo, baseline: NO_BASELINE };
        expect(labelledTerm(pair, { probability: 1, weight: 1 }, settings)).toEqual(preferenceTerm(pair, dpo));
        const { gradient } = labelledTerm(pair, { probability: 0.5, weight: 1 }, settings);
        // Downhill is towards a margin of 0.
        expect(Math.sign(gradient.chosen)).toBe(Math.sign(Math.abs(a - b) < 1e-9 ? gradient.chosen : a - b));
      },
    ),
  );
});

it("a label of 1 - e is TRL's label smoothing of e", () => {
  const pair = { chosen: 4, rejected: -7, lengths };
  const smoothed = preferenceTerm(pair, { ...dpo, labelSmoothing: 0.3 });
  const labelled = labelledTerm(pair, { probability: 0.7, weight: 1 }, { preference: dpo, baseline: NO_BASELINE });
  expect(labelled.loss).toBeCloseTo(smoothed.loss, 14);
  expect(labelled.gradient.chosen).toBeCloseTo(smoothed.gradient.chosen, 14);
});

it('a label that is no probability, or a weight that is not above 0, is refused', () => {
  const pair = { chosen: 1, rejected: 0, lengths };
  for (const label of [
    { probability: 1.1, weight: 1 },
    { probability: Number.NaN, weight: 1 },
    { probability: 0.8, weight: 0 },
  ])
    expect(() => labelledTerm(pair, label, { preference: dpo, baseline: NO_BASELINE })).toThrow(
      expect.objectContaining({ code: 'OBJECTIVE_LABEL_INVALID' }),
    );
});
