/**
 * @file The recipes of recipes/: each opens with its command, loads, and is in docs/recipes.md; each method on the
 * quickstart's world runs, on a few of its rows.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/files/package-root.ts';
import { runRecipe } from '../../src/loop/run.ts';
import { runSft } from '../../src/loop/sft.ts';
import { loadRecipe, loadSftRecipe } from '../../src/recipe/load.ts';
import type { LoopEvent } from '../../src/store/events.ts';
import { openLedger } from '../../src/store/ledger.ts';

const folder = join(packageRoot, 'recipes');
const names = readdirSync(folder)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => name.slice(0, -'.yaml'.length));
/** Recipes of `selm sft`. */
const TUNING = ['sft', 'kto-labels'];
const PUBLISHED = ['zephyr-7b', 'llama-3-8b', 'phi-3-mini'];
const page = readFileSync(join(packageRoot, 'docs', 'recipes.md'), 'utf8');

const root = mkdtempSync(join(tmpdir(), 'selm-methods-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe.each(names)('recipes/%s.yaml', (name) => {
  const path = join(folder, `${name}.yaml`);

  it('opens with its command, loads under its own name, and has its paragraph', () => {
    const command = TUNING.includes(name) ? 'sft' : 'train';
    expect(readFileSync(path, 'utf8').split(/\s{2,}|\n/)[0]).toBe(`# selm ${command} recipes/${name}.yaml`);
    expect((command === 'sft' ? loadSftRecipe : loadRecipe)(path).name).toBe(name);
    expect(page).toContain(`recipes/${name}.yaml`);
  });
});

describe('an iteration on a few rows', () => {
  const elsewhere = [...PUBLISHED, ...TUNING, 'quickstart', 'sft-then-selm', 'people', 'vllm'];
  const methods = names.filter((name) => !elsewhere.includes(name));
  it.each(methods)('of recipes/%s.yaml trains on pairs of its rule', async (name) => {
    const output = join(root, name);
    const overrides = [
      `output=${output}`,
      'threads=1',
      'iterations=1',
      'data.limit=12',
      'slices.count=2',
      'sampling.maxNewTokens=24',
      'training.batchSize=3',
      'evaluate.prompts=null',
    ];
    const recipe = loadRecipe(join(folder, `${name}.yaml`), { overrides });
    const events: LoopEvent[] = [];
    await runRecipe(recipe, { watch: (event) => void events.push(event) });
    using ledger = openLedger(join(output, 'run.db'), { access: 'read' });
    const origins = new Set(
      ledger.pairs(1).map(({ chosenFrom, rejectedFrom }) => `${chosenFrom.kind} over ${rejectedFrom.kind}`),
    );
    expect(origins.size).toBeGreaterThan(0);
    if (recipe.update === 'keep') expect([...origins]).toEqual(['chosen over rejected']);
    if (recipe.update === 'data-over-response') expect([...origins]).toEqual(['chosen over response']);
    const losses = events.flatMap((event) => (event.kind === 'metrics' ? [event.values.loss] : []));
    expect(losses.length).toBeGreaterThan(0);
    expect(losses.every(Number.isFinite)).toBe(true);
  });
});

describe('fine-tuning on a few rows', () => {
  it('by recipes/sft.yaml, and before an iteration by recipes/sft-then-selm.yaml', async () => {
    const few = ['threads=1'];
    const tuned = ['data.limit=16', 'training.epochs=1', `output=${join(root, 'sft')}`, ...few];
    const alone = await runSft(loadSftRecipe(join(folder, 'sft.yaml'), { overrides: tuned }));
    expect(existsSync(join(alone.modelPath, 'model.safetensors'))).toBe(true);
    const chained = [
      `output=${join(root, 'sft-then-selm')}`,
      'sft.data.limit=16',
      'sft.training.epochs=1',
      'iterations=1',
      'data.limit=6',
      'sampling.maxNewTokens=16',
      'evaluate.prompts=null',
      ...few,
    ];
    const { modelPath } = await runRecipe(loadRecipe(join(folder, 'sft-then-selm.yaml'), { overrides: chained }));
    expect(existsSync(join(modelPath, 'model.safetensors'))).toBe(true);
    const first = join(root, 'sft-then-selm', 'sft', 'model', 'model.safetensors');
    expect(readFileSync(first)).toEqual(readFileSync(join(alone.modelPath, 'model.safetensors')));
  });
});
