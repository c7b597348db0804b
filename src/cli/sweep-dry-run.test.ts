/** @file The sweeps that come with the package: each is read, its arms are what its file says, and it can be forecast. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { factsKey } from '../forecast/facts.ts';
import { loadSweep } from '../recipe/sweep.ts';
import { planSweep, type SweepPlan } from '../sweep/plan.ts';
import { dryRunSweep, type RunForecast } from './sweep-dry-run.ts';

const recipes = join(packageRoot, 'recipes');
const shipped = [
  ...readdirSync(join(recipes, 'sweeps')).map((name) => join('sweeps', name)),
  join('smollm2', 'sweep.yaml'),
];

/** Every recipe of it is read and checked. */
function planOf(file: string): SweepPlan {
  return planSweep(loadSweep(join(recipes, file)));
}

it.each(shipped)('recipes/%s is read with all its arms, and a run of it has a forecast', async (file) => {
  const plan = planOf(file);
  expect(plan.runs.length).toBeGreaterThan(4);
  const rates = async () => ({
    train: 1e11,
    score: 1e11,
    prefill: 1e11,
    decode: 1e10,
    update: 1e9,
    device: 'cpu',
    threads: 1,
    processors: 2,
  });
  const text = await dryRunSweep({ ...plan, runs: plan.runs.slice(-1) }, { json: true, rates });
  const [{ iterations = 0, steps = 0 } = {}] = (JSON.parse(text) as { runs: Partial<RunForecast>[] }).runs;
  expect(steps / iterations).toBeGreaterThan(1);
});

it('arms that differ in training alone share what a forecast reads of model and data', () => {
  const arms = planOf(join('sweeps', 'alpha.yaml')).runs.filter(({ seed }) => seed === 1);
  expect(arms.length).toBeGreaterThan(1);
  expect(new Set(arms.map(({ recipe }) => factsKey(recipe))).size).toBe(1);
});

it('the grid of Figure 5 varies iterations, batch size, learning-rate cycle and update rule, each around the same point', () => {
  const { runs } = planOf(join('sweeps', 'iterative-dpo.yaml'));
  const points = runs.flatMap(({ arm, seed, recipe: { iterations, training, update } }) =>
    seed === 1 ? [[arm, iterations, training.batchSize, training.cycle, update]] : [],
  );
  expect(points).toEqual([
    ['iterations-1', 1, 16, 'constant', 'best-and-worst'],
    ['iterations-2', 2, 16, 'constant', 'best-and-worst'],
    ['iterations-3', 3, 16, 'constant', 'best-and-worst'],
    ['batchSize-8', 3, 8, 'constant', 'best-and-worst'],
    ['batchSize-32', 3, 32, 'constant', 'best-and-worst'],
    ['cycle-linear', 3, 16, 'linear', 'best-and-worst'],
    ['cycle-decayed-last', 3, 16, 'decayed-last', 'best-and-worst'],
    ['update-replace', 3, 16, 'constant', 'replace'],
    ['update-keep', 3, 16, 'constant', 'keep'],
  ]);
});
