/** @file A benchmark from its file to its comparison: what is checked, resumed, compared, drawn. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { runBench } from './bench.ts';
import { type CellResults, cellsOf, missingOf, readCell, writeCell } from './cells.ts';
import { compareMethods, scoreRun } from './comparison.ts';
import { loadGrid } from './grid.ts';
import { comparisonPicture } from './picture.ts';
import type { Point, RunResult } from './run.ts';
import { comparisonTables } from './tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'selm-bench-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const GRID = `name: small
seeds: { first: 1, count: 2 }
labels: 32
labelsAnIteration: 16
worlds:
  - { name: 'one, 5 %', prompts: 2, responses: 20, features: 3, rareShare: 0.05 }
  - { name: two, prompts: 2, responses: 20, features: 3, policy: features, learningRate: 20 }
baseline: dpo
drawn: [dpo, selm]
methods:
  - { name: dpo }
  - { name: selm, exploration: { kind: selm, alpha: 0.2 } }
`;
function gridOf(text: string) {
  const file = join(folder, 'grid.yaml');
  writeFileSync(file, text);
  return loadGrid(file, { workingDirectory: folder });
}

describe('loadGrid()', () => {
  it('gives every method the defaults of iterative DPO on two answers', () => {
    const { methods, output, seeds } = gridOf(GRID);
    expect(output).toBe(join(folder, 'runs', 'small'));
    expect(seeds).toEqual([1, 2]);
    expect(methods[1]).toEqual({
      name: 'selm',
      objective: {
        preference: { kind: 'dpo', beta: 0.1, labelSmoothing: 0 },
        exploration: { kind: 'selm', alpha: 0.2 },
        chosenLikelihood: 0,
      },
      samples: 2,
      temperature: 1,
      pairing: { kind: 'rank', rule: 'best-and-worst' },
      prompts: 'any',
      reference: 'previous',
      accumulate: false,
      countBonus: 0,
    });
  });

  it.each([
    ['a baseline that is no method', ['baseline: dpo', 'baseline: dppo'], 'baseline names "dppo"'],
    ['a drawn method that is none', ['drawn: [dpo, selm]', 'drawn: [dpo, xpo]'], 'drawn names "xpo"'],
    ['one name twice', ['name: two,', "name: 'one, 5 %',"], 'worlds has "one, 5 %" twice'],
    ['an unknown rule', ['- { name: dpo }', '- { name: dpo, pairing: { kind: ask, rule: best } }'], 'pairing.rule'],
    ['a list of alphas', ['alpha: 0.2', 'alpha: [0.2]'], 'exploration.alpha is a list'],
  ])('refuses %s', (_, [from = '', to = ''], message) => {
    expect(() => gridOf(GRID.replace(from, to))).toThrow(message);
  });

  it('reads the grid that comes with selm', () => {
    const grid = loadGrid(join(packageRoot, 'recipes', 'bench', 'tabular.yaml'));
    expect(grid.worlds).toHaveLength(8);
    expect(grid.seeds).toHaveLength(30);
  });
});

/** A run of which only rewards and labels matter; the best reward is 5. */
function runOf(rewards: readonly number[], rare = { sampled: 3, paired: 2, chosen: 1 }): RunResult {
  const points = rewards.map(
    (reward, index): Point => ({ reward, klToBase: 0, entropy: 0, rareShare: 0, labels: 16 * index, sampled: 0 }),
  );
  return { points, rare, best: 5, regret: 16 };
}

describe('a cell', () => {
  it('remembers results until what they depend on changes', () => {
    const grid = { ...gridOf(GRID), output: join(folder, 'cells') };
    const [cell] = cellsOf(grid);
    if (cell === undefined) throw new Error('A grid has cells');
    expect(missingOf(grid.output, cell).map(({ name }) => name)).toEqual(['dpo', 'selm']);
    writeCell(grid.output, cell, { dpo: runOf([1, 2]), selm: runOf([1, 3]) });
    expect(missingOf(grid.output, cell)).toEqual([]);
    expect(readCell(grid.output, cell).selm).toEqual(runOf([1, 3]));
    const changed = {
      ...cell,
      methods: cell.methods.map((method) => ({ ...method, samples: method.name === 'dpo' ? 3 : 2 })),
    };
    expect(missingOf(grid.output, changed).map(({ name }) => name)).toEqual(['dpo']);
  });

  it('is run again where its file is damaged', () => {
    const grid = { ...gridOf(GRID), output: join(folder, 'damaged') };
    const [cell] = cellsOf(grid);
    if (cell === undefined) throw new Error('A grid has cells');
    writeCell(grid.output, cell, { dpo: runOf([1, 2]), selm: runOf([1, 3]) });
    writeFileSync(join(grid.output, 'cells', 'one--5--', 'seed-1.json'), '{"formatVersion": 1, "resu');
    expect(missingOf(grid.output, cell)).toHaveLength(2);
  });
});

it('scoreRun() measures gain on the scale from the base to the best, and holds the last policy to the end of the budget', () => {
  // Gains 0, 0.5, 0.25 after 0, 16, 32 labels of 64: 16 labels under each of the first two, 32 under the last.
  const score = scoreRun(runOf([1, 3, 2]), { labels: 64 });
  expect(score.area).toBeCloseTo((16 * 0 + 16 * 0.5 + 32 * 0.25) / 64, 12);
  expect(score.end).toBe(0.25);
  expect(score.labelsToHalf).toBe(16);
  expect(score.regret).toBeCloseTo(16 / 4 / 32, 12);
});

describe('compareMethods()', () => {
  const grid = { ...gridOf(GRID), seeds: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] };
  const cells = (gain: number): CellResults[] =>
    grid.seeds.map((seed) => ({
      dpo: runOf([1, 2 + 0.01 * seed, 2], { sampled: 0, paired: 0, chosen: 0 }),
      selm: runOf([1, 2 + 0.01 * seed + gain + 0.002 * (seed % 3), seed === 1 ? 0.5 : 3]),
    }));
  const results = new Map([
    ['one, 5 %', cells(1)],
    ['two', cells(0.4)],
  ]);
  const comparison = compareMethods(grid, results);

  it('pairs by seed, corrects for the number of methods and worlds, and counts where a method surely wins', () => {
    const selm = comparison.overall[1];
    // Gain of the middle policy, which stands for half of the labels: +1 and +0.4 of 4, half of it, and 0.002 mod 3 on top.
    expect(selm?.difference?.value).toBeCloseTo((1 + 0.4 + 0.004) / 2 / 4 / 2, 3);
    expect(selm?.difference?.corrected).toBeLessThan(0.001);
    expect(selm).toMatchObject({ better: 2, worse: 0 });
    expect(comparison.overall[0]?.difference).toBeNull();
  });

  it('says how many seeds end below the base, and why the rare answers are not there', () => {
    const of = (method: string) => comparison.inWorlds.find((each) => each.world === 'two' && each.method === method);
    expect(of('selm')?.collapsed).toBeCloseTo(1 / 12, 12);
    expect(of('selm')?.unfound).toEqual({ neverSampled: 0, neverChosen: 0, outLearned: 12 });
    expect(of('dpo')?.unfound).toEqual({ neverSampled: 12, neverChosen: 0, outLearned: 0 });
  });

  it('leaves out a method that has no run yet, and corrects for the others', () => {
    const more = { ...grid, methods: [...grid.methods, { ...grid.methods[1], name: 'popo' }] };
    expect(compareMethods(more, results)).toEqual(comparison);
  });

  it('is shown as tables and as a picture that is well-formed', () => {
    expect(comparisonTables(grid, comparison)).toContain('### two');
    const picture = comparisonPicture(grid, results);
    expect(picture).toContain('one, 5 %');
    expect(picture).not.toContain('NaN');
    expect(picture.match(/<polyline/g)).toHaveLength(4);
  });
});

it('runBench() runs what is missing in processes of its own, and nothing twice', async () => {
  const grid = gridOf(GRID);
  const options = { parallel: 2, signal: new AbortController().signal, progress: () => {} };
  expect(await runBench(grid, options)).toBe(8);
  expect(await runBench(grid, options)).toBe(0);
  const stored = JSON.parse(readFileSync(join(grid.output, 'cells', 'two', 'seed-2.json'), 'utf8')) as {
    results: Record<string, { result: RunResult }>;
  };
  expect(stored.results.selm?.result.points.at(-1)?.labels).toBeGreaterThanOrEqual(32);
}, 60_000);
