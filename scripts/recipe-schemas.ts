/**
 * @file Writes recipes/*.schema.json, the JSON Schemas by which editors complete and check recipes and sweeps, from the schema that the
 * loader uses. Run: `npm run docs`; a test says when a file is stale.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { recipeJsonSchema } from '../src/recipe/schema.ts';
import { sftRecipeJsonSchema } from '../src/recipe/sft.ts';
import { sweepJsonSchema } from '../src/recipe/sweep.ts';

const folder = fileURLToPath(new URL('../recipes', import.meta.url));

/** Content of each file by its path. */
export function recipeSchemaFiles(): Map<string, string> {
  const textOf = (schema: Record<string, unknown>): string => `${JSON.stringify(schema, null, 2)}\n`;
  return new Map([
    [join(folder, 'recipe.schema.json'), textOf(recipeJsonSchema())],
    [join(folder, 'sft-recipe.schema.json'), textOf(sftRecipeJsonSchema())],
    [join(folder, 'sweep.schema.json'), textOf(sweepJsonSchema())],
  ]);
}

const invoked = process.argv[1];
if (invoked !== undefined && fileURLToPath(import.meta.url) === invoked) {
  for (const [path, text] of recipeSchemaFiles()) writeFileSync(path, text);
}
