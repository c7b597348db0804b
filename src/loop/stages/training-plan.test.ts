import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../../files/package-root.ts';
import { loadRecipe } from '../../recipe/load.ts';
import { stepsOf } from './training-plan.ts';

it('stepsOf() passes over all trees as often as the iteration says, each time in another order', () => {
  const recipe = loadRecipe(join(packageRoot, 'recipes', 'few-labels.yaml'), {
    overrides: ['training.epochs=[2, 1, 1]', 'training.batchSize=4'],
  });
  const trees = Array.from({ length: 8 }, (_, index) => index);
  const [first, second] = [stepsOf({ recipe, iteration: 1 }, trees), stepsOf({ recipe, iteration: 2 }, trees)];
  expect([first.length, second.length]).toEqual([4, 2]);
  const passes = [first.slice(0, 2), first.slice(2), second].map((steps) => steps.flat());
  for (const pass of passes) expect([...pass].sort()).toEqual(trees);
  expect(new Set(passes.map(String)).size).toBe(3);
});
