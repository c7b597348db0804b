/**
 * @file A run that trains an adapter: each iteration's model is an adapter that names its base, the reference is the base
 * first and the adapter before later, a run that is stopped and taken up again ends with the same bytes.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { InterruptedError } from '../src/errors.ts';
import { sha256 } from '../src/files/hash.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { runRecipe } from '../src/loop/run.ts';
import { mergeAdapter } from '../src/model/adapter/merge.ts';
import { loadModel } from '../src/model/load.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import type { LoopEvent } from '../src/store/events.ts';
import { greedy } from './support/greedy.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const model = join(packageRoot, 'assets', 'stories260K');
const adapter = { kind: 'lora', rank: 4, alpha: 8, targets: ['q_proj', 'down_proj'] };
let folder = '';
let recipePath = '';
let events: LoopEvent[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'selm-lora-run-'));
  const training = { batchSize: 6, learningRate: 0.005, microBatchTokens: 64, checkpointEverySteps: 1, adapter };
  recipePath = writeSmallRecipe(folder, { training });
  events = (await run('unbroken')).events;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the recipe; after `stopAfter` training steps it is interrupted. */
async function run(
  name: string,
  { stopAfter = Infinity, overrides = [] }: { stopAfter?: number; overrides?: string[] } = {},
): Promise<{ events: LoopEvent[]; stopped: boolean }> {
  const recipe = loadRecipe(recipePath, { overrides: [`output=${join(folder, name)}`, ...overrides] });
  const stop = new AbortController();
  const seen: LoopEvent[] = [];
  let steps = 0;
  const watch = (event: LoopEvent): void => {
    seen.push(event);
    if (event.kind === 'metrics' && ++steps >= stopAfter) stop.abort();
  };
  try {
    await runRecipe(recipe, { watch, signal: stop.signal });
    return { events: seen, stopped: false };
  } catch (error) {
    if (!(error instanceof InterruptedError) && !stop.signal.aborted) throw error;
    return { events: seen, stopped: true };
  }
}

function hashes(name: string): string[] {
  return [1, 2].flatMap((iteration) =>
    ['adapter_model.safetensors', 'adapter_config.json', 'README.md'].map((file) =>
      sha256(readFileSync(join(folder, name, `iteration-${iteration}`, 'model', file))),
    ),
  );
}

it('saves adapters that name their base, and each iteration trains the one before further', () => {
  const [first, second] = [1, 2].map((iteration) => join(folder, 'unbroken', `iteration-${iteration}`, 'model'));
  for (const path of [first ?? '', second ?? '']) {
    expect(existsSync(join(path, 'model.safetensors'))).toBe(false);
    expect(existsSync(join(path, 'tokenizer.json'))).toBe(true);
    const config: unknown = JSON.parse(readFileSync(join(path, 'adapter_config.json'), 'utf8'));
    expect(config).toMatchObject({
      base_model_name_or_path: model,
      r: 4,
      lora_alpha: 8,
      target_modules: ['q_proj', 'down_proj'],
    });
    const loaded = loadModel(path);
    expect(loaded.adapter?.factors.size).toBe(10);
    loaded.dispose();
  }
  const [one, , , two] = hashes('unbroken');
  expect(one).not.toBe(two);
});

it('writes a card beside each model, with its method, data, metrics, settings, base and licence', () => {
  const card = readFileSync(join(folder, 'unbroken', 'iteration-2', 'model', 'README.md'), 'utf8');
  const [, front = '', text = ''] = card.split(/^---$/m);
  expect(parse(front)).toEqual({
    base_folder: 'stories260K',
    license: 'other',
    license_name: 'unknown',
    library_name: 'peft',
    pipeline_tag: 'text-generation',
    tags: ['selm', 'preference-optimization', 'active-exploration', 'dpo', 'lora'],
  });
  expect(text).toContain('# small, iteration 2 of 2');
  expect(text).toContain('DPO with beta 0.1, with the exploration term selm, alpha 0.01');
  expect(text).toMatch(/\| prompts\.jsonl \| unknown \| [0-9a-f]{64} \|/);
  expect(text).toMatch(/\| loss \| 0\.\d+ \| 0\.\d+ \|/);
  expect(text).toContain('rank: 4');
  expect(text).toContain('Unknown: the base model stories260K came without a card');
  // Nothing of this machine: no path, no time.
  expect(card).not.toContain(folder);
  expect(card).not.toMatch(/20\d\d-\d\d|seconds/);
});

it('starts each iteration at its reference: base without adapter, then the adapter before, and says so', () => {
  const notes = events.flatMap((event) =>
    event.kind === 'note' && event.text.startsWith('The reference') ? [event.text] : [],
  );
  expect(notes).toEqual([
    `The reference of iteration 1 is the base without adapter, ${model}`,
    `The reference of iteration 2 is the base with the adapter ${join(folder, 'unbroken', 'iteration-1', 'model')}`,
  ]);
  const firstLosses = events.flatMap((event) =>
    event.kind === 'metrics' && event.step === 0 ? [event.values['loss/preference']] : [],
  );
  // To the bit: the base below the adapter is read as the reference's is.
  expect(firstLosses).toEqual([Math.log(2), Math.log(2)]);
});

it('ends with the same bytes when it is stopped after each step and taken up again', async () => {
  let attempts = 0;
  while ((await run('broken', { stopAfter: 1 })).stopped) attempts++;
  expect(attempts).toBeGreaterThan(2);
  expect(hashes('broken')).toEqual(hashes('unbroken'));
});

describe('selm merge', () => {
  const adapterPath = (): string => join(folder, 'unbroken', 'iteration-2', 'model');
  function selm(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(process.execPath, [join(packageRoot, 'bin', 'selm'), ...args], { encoding: 'utf8', cwd: folder });
  }

  it('makes a whole model that answers as the adapter does, word for word and with the same log-probability', async () => {
    const { status, stderr } = selm('merge', adapterPath(), 'merged');
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(existsSync(join(folder, 'merged', 'config.json'))).toBe(true);
    expect(existsSync(join(folder, 'merged', 'adapter_config.json'))).toBe(false);
    const card = readFileSync(join(folder, 'merged', 'README.md'), 'utf8');
    expect(card).toContain('LoRA of rank 4 with alpha 8 on 10 matrices, added in float32 and saved in float32');
    const merged = await greedy(join(folder, 'merged'), [1], 20);
    expect(merged).toEqual(await greedy(adapterPath(), [1], 20));
    expect(merged.logProb).not.toBe((await greedy(model, [1], 20)).logProb);
  });

  it('refuses a folder that is there, and a model that is no adapter', async () => {
    const { status, stderr } = selm('merge', adapterPath(), '.');
    expect([status, stderr]).toEqual([2, expect.stringContaining('it already exists')]);
    await expect(mergeAdapter(model, join(folder, 'other'), 'float32')).rejects.toThrow('no adapter_config.json');
    expect(existsSync(join(folder, 'other'))).toBe(false);
  });
});

it.each([
  ['training.adapter.targets=[wombat]', 'Cannot put an adapter on "wombat"'],
  ['training.adapter.dropout=0.1', 'training.adapter.dropout is 0.1: allowed is 0: dropout is not computed'],
  ['training.adapter.rank=0', 'training.adapter.rank is 0: allowed is a whole number from 1'],
])('refuses %s before anything is written', async (override, says) => {
  await expect(run('refused', { overrides: [override] })).rejects.toThrow(says);
  expect(existsSync(join(folder, 'refused'))).toBe(false);
});

it('trains all weights from an adapter merged into its base, starting at its reference', async () => {
  const start = join(folder, 'unbroken', 'iteration-1', 'model');
  const overrides = [`model=${start}`, 'iterations=1', 'training.adapter={ kind: none }'];
  const { events: seen } = await run('whole', { overrides });
  const first = seen.find((event) => event.kind === 'metrics');
  expect(first?.kind === 'metrics' && first.values['loss/preference']).toBe(Math.log(2));
  const whole = loadModel(join(folder, 'whole', 'iteration-1', 'model'));
  expect(whole.adapter).toBeNull();
  expect(whole.weights.size).toBeGreaterThan(40);
  whole.dispose();
});

it('refuses to train an adapter further with another rank', async () => {
  const start = join(folder, 'unbroken', 'iteration-1', 'model');
  const overrides = [`model=${start}`, 'training.adapter.rank=8'];
  await expect(run('refused', { overrides })).rejects.toThrow('it has rank 4, not 8');
});
