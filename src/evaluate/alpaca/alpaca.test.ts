/** @file AlpacaEval's numbers against scikit-learn on made annotations (scripts/fixtures/alpaca_eval.py), and on real ones where they are. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { codePoints } from '../code-points.ts';
import { evaluationData, hasEvaluationData } from '../evaluation-data.testing.ts';
import { readResultFile } from '../records.ts';
import { type Annotations, readAnnotations } from './annotations.ts';
import { type LeaderboardRow, leaderboardRow } from './leaderboard-row.ts';
import { lengthControlledMatrix, type SharedFacts } from './length-controlled.ts';
import { readSharedFacts } from './shared-facts.ts';
import { alpacaWinRate } from './win-rate.ts';

const fixtures = fileURLToPath(new URL('../../../test/fixtures/evaluate/alpaca', import.meta.url));

async function sharedIn(folder: string): Promise<SharedFacts> {
  const file = join(folder, 'df_gamed.csv');
  return readSharedFacts(await readResultFile(file), file);
}

async function annotationsIn(file: string): Promise<Annotations> {
  return readAnnotations(await readResultFile(file), file);
}

/** Annotations of records alone. */
function annotationsOf(values: Record<string, unknown>[]): Annotations {
  return readAnnotations({ records: values.map((value, i) => ({ line: i + 1, value })), problems: [] }, 'made.json');
}

function rowOf(annotations: Annotations, facts: SharedFacts | { problem: string }): LeaderboardRow {
  return leaderboardRow(annotations, { shared: facts, c: null, outputLengths: null });
}

let shared: SharedFacts;
let strong: Annotations;
beforeAll(async () => {
  shared = await sharedIn(fixtures);
  strong = await annotationsIn(join(fixtures, 'strong.csv'));
});

describe('the win rate', () => {
  it('counts exact draws half, and rounds the rest only in the discrete one', () => {
    const rates = alpacaWinRate([1, 1.2, 1.5, 1.500001, 2].map((preference) => ({ preference })));
    expect(rates).toMatchObject({ n_wins: 2, n_wins_base: 2, n_draws: 1, n_total: 5, discrete_win_rate: 50 });
    expect(rates.win_rate).toBeCloseTo(44.00002, 10);
    // Sample deviation of 0, 0.2, 0.5, 0.500001, 1 is 0.37815...; divided by the root of 5.
    expect(rates.standard_error).toBeCloseTo(16.91154, 4);
  });

  it('takes the old 0 for a draw', () => {
    expect(rowOf(annotationsOf([{ preference: 0 }, { preference: 2 }]), { problem: 'none' })).toMatchObject({
      n_draws: 1,
      win_rate: 75,
    });
  });

  it('counts lengths in code points', () => {
    expect(codePoints('né😀')).toBe(3);
  });
});

describe('the length-controlled win rate', () => {
  const expected = JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8')) as {
    models: Record<string, Record<string, number> & { weights: number[] }>;
  };

  // 1e-6 where both solvers have converged: coefficients of order 1, rates of order 50.
  it.each(['strong', 'weak'])('is that of a converged scikit-learn, with its C, for the %s model', async (name) => {
    const row = rowOf(await annotationsIn(join(fixtures, `${name}.csv`)), shared);
    const { weights, ...numbers } = expected.models[name] ?? { weights: [] };
    for (const [key, value] of Object.entries(numbers)) expect(row[key as 'win_rate'], key).toBeCloseTo(value, 5);
    const own = [row.weights?.length, row.weights?.difficulty, row.weights?.bias];
    expect(own.map((value, i) => Math.abs((value ?? Number.NaN) - (weights[i] ?? 0)) < 1e-6)).toEqual([
      true,
      true,
      true,
    ]);
  });

  it('does not depend on the order of rows that say their place', () => {
    const turned = { ...strong, usable: [...strong.usable].reverse() };
    const values = turned.usable.map(({ index, preference, lengths }) => ({
      index,
      preference,
      len_1: lengths?.baseline,
      len_2: lengths?.model,
    }));
    expect(rowOf(annotationsOf(values), shared).weights).toEqual(rowOf(strong, shared).weights);
  });

  it('is 50 for the baseline against itself', () => {
    const own = { preference: 1.5, generator_1: 'gpt4', generator_2: 'gpt4', output_1: 'a', output_2: 'a' };
    expect(rowOf(annotationsOf([own, own]), shared)).toMatchObject({ length_controlled_winrate: 50 });
  });

  it('makes a matrix whose opposite cells sum to 100 exactly', () => {
    const models = [
      { length: -1, difficulty: 0.4, bias: 0.3 },
      { length: -2, difficulty: 0.9, bias: -1.7 },
      { length: 0, difficulty: 0, bias: 0 },
    ];
    const cells = lengthControlledMatrix(models, shared);
    cells.forEach((row, i) => {
      row.forEach((rate, j) => {
        expect(rate + (cells[j]?.[i] ?? Number.NaN)).toBe(100);
      });
    });
    expect(cells[0]?.[1]).toBeGreaterThan(80);
  });
});

describe('annotations that cannot be used', () => {
  it('names rows without a preference and leaves them out, with the others in their places', () => {
    const values = strong.usable.map(({ index, preference, lengths }) => ({
      index,
      preference: index === 7 ? 'nan' : index === 9 ? 'maybe' : preference,
      len_1: lengths?.baseline,
      len_2: lengths?.model,
    }));
    const row = rowOf(annotationsOf(values), shared);
    expect(row).toMatchObject({
      n_total: 118,
      n_unusable: 2,
      unusable: [
        { line: 8, problem: 'the annotator gave no preference' },
        { line: 10, problem: 'preference "maybe" is not between 1 and 2' },
      ],
    });
    const without = { ...strong, usable: strong.usable.filter(({ index }) => index !== 7 && index !== 9) };
    expect(row.weights).toEqual(rowOf(without, shared).weights);
  });

  it.each([
    ['one JSON list', '[{"preference": 1.2}, {"preference": NaN, "output_2": "a NaN"}, {"preference": 2}]'],
    ['JSON Lines', '{"preference": 1.2}\n{"preference": NaN}\n{"preference": 2}\n'],
  ])('are named and counted where an annotator wrote NaN as Python does: %s', async (name, text) => {
    const file = join(temporaryFolder(), name.includes('Lines') ? 'a.jsonl' : 'a.json');
    writeFileSync(file, text);
    const found = await annotationsIn(file);
    expect(found.usable.map(({ index, preference }) => [index, preference])).toEqual([
      [0, 1.2],
      [2, 2],
    ]);
    expect(found.unusable).toEqual([{ line: 2, problem: 'the annotator gave no preference' }]);
  });

  it('keep their place where a line before them cannot be read', async () => {
    const file = join(temporaryFolder(), 'a.jsonl');
    writeFileSync(file, '{"preference": 1.2}\n{"preference": oops}\n\n{"preference": 2}\n');
    const found = await annotationsIn(file);
    expect(found.usable.map(({ index }) => index)).toEqual([0, 2]);
    expect(found.unusable).toMatchObject([{ line: 2 }]);
  });

  it('counts instructions without a row', () => {
    expect(rowOf(strong, shared).n_missing).toBe(805 - 120);
  });

  it.each([
    ['lengths', { preference: 2 }, 'neither outputs nor their lengths'],
    ['a known difficulty', { index: 900, preference: 2, len_1: 5, len_2: 9 }, 'difficulty of instruction 900'],
  ])('gives the win rate alone, and says why, without %s', (_, value, reason) => {
    const row = rowOf(
      annotationsOf([
        { preference: 1, len_1: 3, len_2: 4, index: 0 },
        { index: 1, ...value },
      ]),
      shared,
    );
    expect(row).toMatchObject({ win_rate: 50, length_controlled_winrate: null });
    expect(row.warnings.join()).toContain(reason);
  });

  it.each([
    [
      'an instruction twice',
      [
        { index: 1, preference: 1 },
        { index: 1, preference: 2 },
      ],
      'ALPACA_INDEX',
    ],
    ['no preferences at all', [{ index: 1, verdict: 1 }], 'ALPACA_COLUMNS'],
  ])('refuses a file with %s', (_, values, code) => {
    expect(() => annotationsOf(values)).toThrow(expect.objectContaining({ code }));
  });
});

const real = evaluationData('alpaca_eval');

describe.skipIf(!hasEvaluationData('alpaca_eval'))('published figures ($SELM_EVALUATION_DATA)', () => {
  it('come out of the published annotations', async () => {
    const facts = await sharedIn(real);
    const tables = ['lc_reproduction.csv', 'leaderboard.csv'].map((name) => readResultFile(join(real, name)));
    const [fits, board] = await Promise.all(tables);
    for (const { value: fit } of fits?.records ?? []) {
      const name = String(fit.model);
      const row = rowOf(await annotationsIn(join(real, 'annotations', `${name}.csv`)), facts);
      const published = board?.records.find(({ value }) => value[''] === name)?.value ?? {};
      const { length, difficulty, bias } = row.weights ?? { length: 0, difficulty: 0, bias: 0 };
      const near = (actual: number | null, wanted: unknown, tolerance: number): void =>
        expect(Math.abs((actual ?? Number.NaN) - Number(wanted)), name).toBeLessThan(tolerance);
      near(row.win_rate, published.win_rate, 1e-6);
      near(row.standard_error, published.standard_error, 1e-6);
      near(row.discrete_win_rate, published.discrete_win_rate, 1e-6);
      near(length, fit.w_len, 1e-6);
      near(difficulty, fit.w_difficulty, 1e-6);
      near(bias, fit.w_bias, 1e-6);
      near(row.length_controlled_winrate, fit.lc_exact_solver, 1e-6);
      near(row.lc_standard_error, fit.lc_se, 1e-6);
      // Published figures come from a solver that stops early, and for some models from another C.
      const sameC = Math.abs(Number(fit.C_that_matches_published) / (row.c ?? 0) - 1) < 1e-6;
      near(row.length_controlled_winrate, published.length_controlled_winrate, sameC ? 0.02 : 0.16);
    }
  });
});
