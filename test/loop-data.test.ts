/** @file The data of a run: slices are read again when their turn comes, whatever the format, from files that did not change. */
import { appendFileSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { convertRows } from '../src/data/convert.ts';
import { sourcesOfFiles } from '../src/data/mixture.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { loadHeldOut, loadTrainingData, type TrainingData } from '../src/loop/data.ts';
import { loadRecipe } from '../src/recipe/load.ts';
import { loadTokenizer } from '../src/text/tokenizer/tokenizer.ts';
import { writeSmallRecipe } from './support/small-recipe.ts';

const root = mkdtempSync(join(tmpdir(), 'selm-loop-data-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const tokenizer = loadTokenizer(join(packageRoot, 'assets', 'stories260K'));

/** The data of a small recipe, 24 prompts, with changed settings. */
async function dataOf(name: string, changes: Record<string, unknown> = {}): Promise<TrainingData> {
  const recipe = loadRecipe(writeSmallRecipe(join(root, name), changes));
  return loadTrainingData(recipe, { sources: sourcesOfFiles(recipe.data.train), tokenizer, announce: () => {} });
}

const idsOf = async (data: TrainingData, iteration: number): Promise<string[]> =>
  (await data.slice(iteration)).map(({ promptId }) => promptId);

it('a slice has the same rows each time, those of other slices follow it, and Parquet gives what JSONL gives', async () => {
  const data = await dataOf('jsonl', { accumulate: true });
  const [first, second] = [await idsOf(data, 1), await idsOf(data, 2)];
  expect([first.length, second.length]).toEqual([12, 12]);
  expect(new Set([...first, ...second]).size).toBe(24);
  expect(await idsOf(data, 1)).toEqual(first);

  const parquet = join(root, 'rows.parquet');
  await convertRows([join(root, 'jsonl', 'prompts.jsonl')], parquet, { form: 'text', limit: null, onBadRow: 'stop' });
  const same = await dataOf('parquet', { data: { train: parquet } });
  expect([await idsOf(same, 1), await idsOf(same, 2)]).toEqual([first, second]);
});

it('slices.share gives each iteration that share of the rows', async () => {
  const data = await dataOf('share', { slices: { share: 0.25 } });
  expect([(await idsOf(data, 1)).length, (await idsOf(data, 2)).length]).toEqual([6, 6]);
});

it('rows of several files alternate by their shares, in every slice, and know which file they are of', async () => {
  const [many, few] = ['many.jsonl', 'few.jsonl'].map((name) => join(root, name));
  const rowsOf = (name: string, count: number): string =>
    Array.from({ length: count }, (_, i) => `{"prompt":"${name} ${i}"}\n`).join('');
  writeFileSync(many ?? '', rowsOf('many', 40));
  writeFileSync(few ?? '', rowsOf('few', 6));
  const data = await dataOf('mixed', { data: { train: [many, few], shares: [0.75, 0.25] } });
  expect(data.used).toBe(24);
  expect(data.audit).toContain('Sources: many 18 of 40 usable rows, few 6 of 6 usable rows');
  for (const iteration of [1, 2]) {
    const datasets = (await data.slice(iteration)).map(({ dataset }) => dataset);
    expect(datasets.filter((dataset) => dataset === 'few')).toHaveLength(3);
    expect(datasets).toHaveLength(12);
  }
  const counted = await dataOf('counted', { data: { train: [many, few], counts: [4, 2] } });
  expect(counted.used).toBe(6);
});

it('a file that someone wrote to since the audit is refused by name', async () => {
  const data = await dataOf('changed');
  const file = join(root, 'changed', 'prompts.jsonl');
  utimesSync(file, 1, 1);
  await expect(data.slice(1)).rejects.toMatchObject({ code: 'DATA_CHANGED', details: { file } });
  const longer = await dataOf('longer');
  appendFileSync(join(root, 'longer', 'prompts.jsonl'), '{"prompt":"one more"}\n');
  await expect(longer.slice(1)).rejects.toMatchObject({ code: 'DATA_CHANGED' });
});

it('held-out prompts are read as the training data are, and said when they are of another kind', async () => {
  const chatty = { ...tokenizer, chatTemplate: '{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[a]' };
  const said = async (prompts: string | null): Promise<string[]> => {
    const changes = { text: { prompts }, evaluate: { prompts: 'prompts.jsonl', limit: 3 } };
    const recipe = loadRecipe(writeSmallRecipe(join(root, `held-out-${prompts}`), changes));
    const texts: string[] = [];
    await loadHeldOut(recipe, {
      tokenizer: chatty,
      trainingKinds: new Set(['chat']),
      announce: (event) => void ('text' in event && texts.push(`${event.kind}: ${event.text}`)),
    });
    return texts;
  };
  expect(await said(null)).toEqual([
    "note: Held-out prompts: 3: 0 conversations, 3 texts read as user's messages (text.prompts: chat)",
  ]);
  expect(await said('raw')).toEqual([
    'note: Held-out prompts: 3: 0 conversations, 3 texts read as raw texts (text.prompts: raw)',
    expect.stringContaining('warning: 3 held-out prompts are raw texts, and training sees conversations only'),
  ]);
});
