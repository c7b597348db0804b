/** @file Editors know every recipe: each names the schema of its kind, which is the loader's own, and the loader takes each. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { LAYERS } from '../scripts/check-layers.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { recipeJsonSchema, recipeSchema } from '../src/recipe/schema.ts';
import { sftRecipeJsonSchema, sftRecipeSchema } from '../src/recipe/sft.ts';
import { sweepJsonSchema, sweepSchema } from '../src/recipe/sweep.ts';

const folder = join(packageRoot, 'recipes');
// Those of `selm bench` have a form of their own.
const recipes = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
  (name) => name.endsWith('.yaml') && !name.startsWith('bench'),
);

/** Schemas by the command that a recipe opens with. */
const KINDS = {
  train: { file: 'recipe.schema.json', schema: recipeSchema, json: recipeJsonSchema },
  sft: { file: 'sft-recipe.schema.json', schema: sftRecipeSchema, json: sftRecipeJsonSchema },
  sweep: { file: 'sweep.schema.json', schema: sweepSchema, json: sweepJsonSchema },
};

describe('recipes in editors', () => {
  it.each(recipes)('recipes/%s names its schema and fits it', (name) => {
    const path = join(folder, name);
    const text = readFileSync(path, 'utf8');
    const command = /^# selm (train|sft|sweep) /.exec(text)?.[1] as keyof typeof KINDS | undefined;
    const kind = KINDS[command ?? 'train'];
    const named = /^# yaml-language-server: \$schema=(\S+)$/m.exec(text)?.[1] ?? '';
    expect(resolve(dirname(path), named)).toBe(join(folder, kind.file));
    expect(kind.schema.safeParse(parse(text)).error?.issues).toBeUndefined();
  });

  it.each(Object.values(KINDS))('$file is the schema of the loader (npm run docs)', ({ file, json }) => {
    expect(JSON.parse(readFileSync(join(folder, file), 'utf8'))).toEqual(JSON.parse(JSON.stringify(json())));
  });
});

it('the page about the architecture names every folder, row by row from the top', () => {
  const page = readFileSync(join(packageRoot, 'docs', 'architecture.md'), 'utf8');
  const rows = [...page.matchAll(/^\| [^|]+ \| ((?:`[^`]+`(?:, )?)+) \|$/gm)].map(([, cells = '']) =>
    [...cells.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  const folders = LAYERS.map((row) =>
    row.filter((name) => existsSync(join(packageRoot, 'src', name)) || name === 'index'),
  );
  const expected = folders.map((row) => [...row]).reverse();
  expected.splice(-1, 1, ['errors', 'random']);
  expect(rows.map((row) => row.toSorted())).toEqual(expected.map((row) => row.toSorted()));
});
