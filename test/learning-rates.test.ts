/** @file Learning rates at which a run would train nothing, or ruin its model: both are said, and nothing ruined is kept. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { runRecipe } from '../src/loop/run.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import type { LoopEvent } from '../src/store/events.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-rates-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

it('an iteration of a single step trains at the peak rate, with a warning that names what to change', async () => {
  const path = writeSmallRecipe(join(root, 'single'), { iterations: 1 });
  const recipe = loadRecipe(path, { overrides: [`output=${join(root, 'single-run')}`, 'training.batchSize=128'] });
  const events: LoopEvent[] = [];
  await runRecipe(recipe, { watch: (event) => void events.push(event) });
  const steps = events.flatMap((event) => (event.kind === 'metrics' ? [event.values.lr] : []));
  expect(steps).toEqual([recipe.training.learningRate]);
  expect(events).toContainEqual(
    expect.objectContaining({
      kind: 'warning',
      text: expect.stringMatching(/iteration 1 has a single step.*training\.warmupRatio.*training\.batchSize/),
    }),
  );
});

it('at a learning rate of 50 a run says that it diverged, at every attempt, and keeps no model', async () => {
  const path = writeSmallRecipe(join(root, 'ruined'), { iterations: 1 });
  const recipe = loadRecipe(path, {
    overrides: [
      `output=${join(root, 'ruined-run')}`,
      'training.learningRate=50',
      'training.batchSize=6',
      'training.schedule=constant',
    ],
  });
  for (let attempt = 0; attempt < 2; attempt++) {
    await expect(runRecipe(recipe)).rejects.toMatchObject({
      code: 'TRAINING_DIVERGED',
      exitCode: 1,
      message: expect.stringMatching(/learning rate of 50.*lower training\.learningRate/),
    });
    expect(existsSync(join(recipe.output, 'iteration-1', 'model'))).toBe(false);
  }
});
