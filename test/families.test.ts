/** @file Every family goes through a whole iteration: sampled, ranked, trained from a loss of ln 2, and saved. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packageRoot } from '../src/files/package-root.ts';
import { runRecipe } from '../src/loop/run.ts';
import { loadModel, type Model } from '../src/model/load.ts';
import { weightOf } from '../src/model/weights.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import { to_dtype } from '../src/torch/ops.ts';
import { scope, toBytes } from '../src/torch/tensor.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'selm-families-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const FAMILIES = ['mistral', 'qwen2.5-yarn-sliding', 'qwen3', 'phi3-longrope', 'gemma2', 'gemma3-with-images', 'olmo2'];

it.each(FAMILIES)('%s', async (name) => {
  const folder = join(root, name);
  const model = join(packageRoot, 'test', 'fixtures', 'models', name);
  const sampling = { samples: 2, temperature: 2, maxNewTokens: 16, batchSize: 6 };
  const recipe = writeSmallRecipe(folder, { model, iterations: 1, sampling });
  // Random models repeat themselves: any two texts get different rewards.
  const score = '[...text].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 997, 0)';
  writeFileSync(
    join(folder, 'reward.ts'),
    `export const reward = (_: string, responses: string[]): number[] => responses.map((text) => ${score});\n`,
  );
  const prompts = Array.from({ length: 9 }, (_, i) => ({ prompt: `the ${'abcdefghi'[i]} is` }));
  writeFileSync(join(folder, 'prompts.jsonl'), prompts.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const losses: number[] = [];
  await runRecipe(loadRecipe(recipe, { overrides: [`output=${join(folder, 'run')}`] }), {
    watch: (event) => {
      if (event.kind === 'metrics') losses.push(event.values.loss ?? Number.NaN);
    },
  });
  const [before, after] = [loadModel(model), loadModel(join(folder, 'run', 'iteration-1', 'model'))];
  const bytes = (from: Model, weight: string): Uint8Array =>
    scope('weight', () => toBytes(to_dtype(weightOf(from.weights, weight), 'float32')));
  expect(losses.length).toBeGreaterThan(1);
  expect(Math.abs((losses[0] ?? 0) - Math.LN2)).toBeLessThan(1e-6);
  expect(after.config).toEqual({ ...before.config, part: 'whole', raw: after.config.raw });
  expect([...after.weights.keys()]).toEqual([...before.weights.keys()]);
  for (const weight of after.weights.keys()) expect(bytes(after, weight), weight).not.toEqual(bytes(before, weight));
  before.dispose();
  after.dispose();
});
