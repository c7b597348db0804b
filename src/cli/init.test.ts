/** @file What `selm init` makes of a data file and a model. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';
import { packageRoot } from '../files/package-root.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { loadRecipe } from '../recipe/load.ts';
import { holdOutFor, init } from './init.ts';
import { learningRateFor } from './recipe-template.ts';

beforeEach(() => void vi.spyOn(console, 'log').mockImplementation(() => {}));

const model = join(packageRoot, 'assets', 'stories260K');

async function made(lines: readonly unknown[], more: Partial<Parameters<typeof init>[1]> = {}) {
  const folder = temporaryFolder();
  const data = join(folder, 'rows.jsonl');
  writeFileSync(data, lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''));
  const path = join(folder, 'my.yaml');
  const reward = join(folder, 'reward.ts');
  await init(path, { model, data, reward, name: 'my', iterations: 2, yes: true, ...more });
  return { recipe: loadRecipe(path), text: readFileSync(path, 'utf8'), folder };
}

const prompts = Array.from({ length: 200 }, (_, i) => ({ prompt: `Tom saw ${i} dogs.` }));

test('init() leaves bad rows out with their number, holds prompts out, and fits steps and learning rate', async () => {
  const { recipe, text } = await made([...prompts, '{"prompt": ', { question: 'x' }]);
  expect(recipe.data).toMatchObject({ onBadRow: 'drop' });
  expect(text).toContain('left out and counted: 2 of 202 rows (1 not JSON, 1 no prompt)');
  expect(recipe.evaluate).toMatchObject({ holdOut: 25, prompts: null, temperature: 1 });
  // 175 rows in two slices: 4 a step give more than 16 steps, 8 fewer.
  expect(recipe.training.batchSize).toBe(4);
  expect(recipe.training.learningRate).toBe(3e-4);
  expect(text).toMatch(/learningRate: 3\.0e-4 # for 260K weights/);
});

test('init() writes no rule for bad rows where there are none, and holds nothing out of a few', async () => {
  const { recipe, text } = await made(prompts.slice(0, 20));
  expect(recipe.data.onBadRow).toBe('stop');
  expect(text).not.toContain('onBadRow');
  expect(recipe.evaluate).toMatchObject({ holdOut: 0, prompts: null });
});

test('init() names the schema that is shipped, and keeps an absolute path as it was typed', async () => {
  const { text, folder } = await made(prompts);
  const [, schema = ''] = /^# yaml-language-server: \$schema=(.*)$/m.exec(text) ?? [];
  expect(existsSync(join(folder, schema))).toBe(true);
  expect(text).toContain(`train: ${join(folder, 'rows.jsonl')} #`);
});

test('init() writes the columns that it was told of', async () => {
  const questions = prompts.map(({ prompt }) => ({ 'the question': prompt }));
  const { recipe } = await made(questions, { columns: { prompt: 'the question' } });
  expect(recipe.data.columns).toEqual({ prompt: 'the question' });
});

test('init() takes a program as reward where it is there', async () => {
  const reward = join(packageRoot, 'examples', 'reward.py');
  const { recipe } = await made(prompts, { reward });
  expect(recipe.ranker).toMatchObject({ kind: 'command', command: ['python3', reward] });
});

test('init() writes nothing for data without a usable row', async () => {
  await expect(made([{ question: 'x' }])).rejects.toThrow(
    /none of its 1 rows can be used; row 1: no prompt: the row has the fields question.*--columns prompt=/,
  );
});

test.each([
  [7e9, 5e-7],
  [7e10, 5e-7],
  [1.35e8, 6e-6],
  [2.6e5, 3e-4],
  [null, 5e-7],
])('learningRateFor(%s) lies on the line of those that were tried', (parameters, rate) => {
  expect(learningRateFor(parameters).value).toBe(rate);
});

test('holdOutFor() takes an eighth, between 16 and 128', () => {
  expect([100, 128, 1000, 60_000].map(holdOutFor)).toEqual([0, 16, 125, 128]);
});
