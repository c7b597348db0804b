/** @file The arms of a sweep and its runs: which there are, what they are called, and what is refused. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { packageRoot } from '../files/package-root.ts';
import { loadSweep } from '../recipe/sweep.ts';
import { armsOf, pointsOf } from './arms.ts';
import { planSweep, type SweepPlan } from './plan.ts';

const base = {
  name: 'small',
  recipe: join(packageRoot, 'recipes', 'quickstart.yaml'),
  seeds: [1, 2],
  set: { 'evaluate.twin': false },
};

function plan(changes: Record<string, unknown>): SweepPlan {
  const folder = mkdtempSync(join(tmpdir(), 'selm-sweep-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'sweep.yaml'), stringify({ ...base, ...changes }));
  return planSweep(loadSweep('sweep.yaml', { workingDirectory: folder }));
}

it('pointsOf() gives every combination, the last setting changing fastest', () => {
  expect(pointsOf({ a: [1, 2], b: ['x', 'y'] })).toEqual([
    { a: 1, b: 'x' },
    { a: 1, b: 'y' },
    { a: 2, b: 'x' },
    { a: 2, b: 'y' },
  ]);
});

it('names the points of a grid by the settings that vary, and the arms of the list by their own names', () => {
  const { arms } = plan({
    grid: { 'objective.exploration.alpha': [0, 0.005], 'training.batchSize': [16] },
    arms: [{ name: 'offline', set: { 'objective.exploration': { kind: 'none' } } }],
  });
  expect(arms.map(({ name, label }) => [name, label])).toEqual([
    ['alpha-0_batchSize-16', 'alpha = 0, batchSize = 16'],
    ['alpha-0.005_batchSize-16', 'alpha = 0.005, batchSize = 16'],
    ['offline', 'offline'],
  ]);
});

it('tells values of sections and lists apart in names, and keeps long ones short', () => {
  const grids = [{ 'objective.exploration': [{ kind: 'none' }, { kind: 'xpo', alpha: [0.1, 0.2] }] }];
  const names = (value: unknown) =>
    armsOf({ name: 's', grids: [{ 'training.cycle': [value] }], arms: [], baseline: null })[0]?.name ?? '';
  expect(armsOf({ name: 's', grids, arms: [], baseline: null }).map(({ name }) => name)).toEqual([
    'exploration-kind-none',
    'exploration-kind-xpo-alpha-0.1-0.2',
  ]);
  const long = [names(Array(20).fill(0.001)), names(Array(21).fill(0.001))];
  expect(Math.max(...long.map(({ length }) => length))).toBeLessThanOrEqual(48);
  expect(long[0]).not.toBe(long[1]);
});

it('names settings that end alike by all of their names', () => {
  const { arms } = plan({ grid: { 'sampling.temperature': [1], 'evaluate.temperature': [1] } });
  expect(arms[0]?.label).toBe('sampling.temperature = 1, evaluate.temperature = 1');
});

it('runs each arm with each seed, seed by seed, in a folder of its own', () => {
  const { runs, sweep } = plan({ grid: { 'objective.exploration.alpha': [0, 0.1] } });
  expect(runs.map(({ arm, seed }) => `${arm} ${seed}`)).toEqual([
    'alpha-0 1',
    'alpha-0.1 1',
    'alpha-0 2',
    'alpha-0.1 2',
  ]);
  const { recipe } = runs[3] ?? {};
  expect(recipe).toMatchObject({
    seed: 2,
    name: 'small-alpha-0_1-seed-2',
    output: join(sweep.output, 'alpha-0.1', 'seed-2'),
    objective: { exploration: { alpha: 0.1 } },
    evaluate: { twin: false },
  });
});

it("takes the recipe's own seed where none is given, and the recipe itself where there is no arm", () => {
  const { runs, arms } = plan({ seeds: null });
  expect(runs.map(({ arm, seed }) => [arm, seed])).toEqual([['recipe', 42]]);
  expect(arms).toHaveLength(1);
});

it('runs what several grids have in common once, and both arms have that run', () => {
  const { runs, arms } = plan({ seeds: [1], grid: [{ iterations: [2, 3] }, { 'training.batchSize': [16, 32] }] });
  expect(runs.map(({ arm }) => arm)).toEqual(['iterations-2', 'iterations-3', 'batchSize-32']);
  expect(arms.find(({ name }) => name === 'batchSize-16')?.runs).toEqual(
    arms.find(({ name }) => name === 'iterations-3')?.runs,
  );
});

it('reads paths among the settings from the folder of the file', () => {
  const { runs, sweep } = plan({ arms: [{ name: 'other', set: { 'data.train': 'mine.jsonl' } }] });
  expect(runs[0]?.recipe.data.train).toEqual([join(sweep.folder, 'mine.jsonl')]);
});

it.each([
  [
    'a setting that no recipe has',
    { grid: { 'objective.exploraton.alpha': [0] } },
    'RECIPE_INVALID',
    /line \d+: grid\.objective\.exploraton\.alpha is no setting of a recipe: did you mean "objective\.exploration\.alpha"/,
  ],
  [
    'a key that no sweep has',
    { seed: 3 },
    'RECIPE_INVALID',
    /Cannot use sweep .* seed is unknown: did you mean "seeds"/,
  ],
  ['a seed among the settings', { set: { seed: 1 } }, 'RECIPE_INVALID', /set\.seed comes from seeds/],
  ['a seed given twice', { seeds: [1, 1] }, 'RECIPE_INVALID', /seeds has 1 twice/],
  ['a value without a list', { grid: { iterations: 3 } }, 'RECIPE_INVALID', /a list of values/],
  [
    'an impossible arm, before any runs',
    { grid: { 'training.batchSize': [16, 0] } },
    'SWEEP_ARM',
    /arm "batchSize-0" of sweep "small".*training\.batchSize is 0: allowed is a whole number from 1/s,
  ],
  [
    'a baseline that is no arm',
    { grid: { iterations: [1, 2] }, baseline: 'iteration-1' },
    'SWEEP_BASELINE',
    /did you mean "iterations-1"/,
  ],
  [
    'two arms of one name',
    { grid: { iterations: [1] }, arms: [{ name: 'iterations-1', set: {} }] },
    'SWEEP_ARMS_ALIKE',
    /two of its arms/,
  ],
  ['a twin beside every run', { set: {} }, 'SWEEP_TWIN', /evaluate\.twin: false/],
])('refuses %s', (_, changes, code, message) => {
  expect(() => plan(changes)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
});
