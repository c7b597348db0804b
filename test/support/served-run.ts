/** @file The small run that a server samples for: two iterations of three prompts, two responses each. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadRecipe } from '../../src/recipe/load.ts';
import type { Recipe } from '../../src/recipe/schema.ts';
import { writeServedModel } from './served-model.ts';
import { writeSmallRecipe } from './small-recipe.ts';

/** Writes the model and the recipe into `root` and loads it. What is recorded depends on all of it. */
export function servedRecipe(
  root: string,
  sampler: Record<string, unknown>,
  { tied = false, ...changes }: { tied?: boolean; [key: string]: unknown } = {},
): Recipe {
  mkdirSync(root, { recursive: true });
  const model = join(root, 'model');
  writeServedModel(model, { tied });
  const path = writeSmallRecipe(root, {
    name: 'served',
    model,
    sampler,
    sampling: { samples: 2, temperature: 1, maxNewTokens: 8, batchSize: 6 },
    evaluate: {},
    training: { batchSize: 3, learningRate: 0.005, microBatchTokens: 64 },
    ...changes,
  });
  const prompts = [
    'Lily went to the park.',
    'Tom saw a dog.',
    'Mia ran home.',
    'Ben ate.',
    'Sue had a cat.',
    'Max fell.',
  ];
  writeFileSync(join(root, 'prompts.jsonl'), prompts.map((prompt) => `${JSON.stringify({ prompt })}\n`).join(''));
  return loadRecipe(path, { overrides: [`output=${join(root, 'run')}`] });
}
