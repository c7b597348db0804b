/** @file Runs a recipe and prints every event as a JSON line, for tests that kill it. Usage: run-recipe.ts RECIPE OUTPUT */

import { runRecipe } from '../../src/loop/run.ts';
import { loadRecipe } from '../../src/recipe/load.ts';

const [path = '', output = ''] = process.argv.slice(2);
const recipe = loadRecipe(path, { overrides: [`output=${output}`] });
// Written synchronously: what the parent reads has happened.
await runRecipe(recipe, { watch: (event) => void process.stdout.write(`${JSON.stringify(event)}\n`) });
