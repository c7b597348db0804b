/** @file The runs of a benchmark with a language model: each world, method and seed as a checked recipe with a folder of its own. */
import { join } from 'node:path';
import { RecipeError } from '../../errors.ts';
import { ruleNeeds } from '../../rank/pairing.ts';
import { loadRecipe } from '../../recipe/load.ts';
import type { Recipe } from '../../recipe/schema.ts';
import { resultKey } from '../cells.ts';
import type { LanguageGrid, LanguageWorld } from './grid.ts';

/** One run. */
export interface LanguageRun {
  readonly world: LanguageWorld;
  readonly method: string;
  readonly seed: number;
  readonly recipe: Recipe;
  /** Module of the true reward. */
  readonly truth: string;
  /** What the run's result is known by. */
  readonly key: string;
}

/**
 * All runs, seed by seed: a benchmark that is stopped has the first seeds of everything.
 *
 * @throws RecipeError BENCH_RECIPE (which world and method, and what is wrong with their settings)
 */
export function languageRuns(grid: LanguageGrid): LanguageRun[] {
  const pairings = grid.worlds.flatMap((world) => grid.methods.map((method) => ({ world, method })));
  const seeded = pairings.map((pairing) => withSeeds(grid, pairing));
  return grid.seeds.flatMap((_, index) => seeded.flatMap((runs) => runs[index] ?? []));
}

/**
 * Labels that a prompt's answers take: n answers in order are n - 1 comparisons; two by chance, or by a rule's choice, are one.
 *
 * Samples of the reference are ranked as those of the policy are.
 *
 * @param answersOfData answers of the data that are ranked beside the samples: 2 where its rows are pairs
 */
export function labelsOfPrompt(
  { update, sampling, select }: Pick<Recipe, 'update' | 'sampling' | 'select'>,
  answersOfData: number,
): number {
  if (!ruleNeeds(update).ranking) return 0;
  const areTwo = update === 'random' || (select !== null && select.answers !== 'all');
  return areTwo ? 1 : sampling.samples + sampling.referenceSamples + answersOfData - 1;
}

/** A method in a world, with every seed. */
function withSeeds(
  grid: LanguageGrid,
  { world, method }: { world: LanguageWorld; method: LanguageGrid['methods'][number] },
): LanguageRun[] {
  try {
    const settings = { ...world.set, ...method.set };
    const { labels, labelsAnIteration } = world.budget;
    const perPrompt = labelsOfPrompt(load(grid, settings), grid.answersOfData);
    if (perPrompt === 0) throw new RecipeError('BENCH_RECIPE', 'its recipe asks the ranker nothing');
    const sized = load(grid, {
      ...settings,
      iterations: Math.round(labels / labelsAnIteration),
      'slices.size': Math.max(1, Math.round(labelsAnIteration / perPrompt)),
    });
    const truth = world.truth ?? truthOf(sized);
    return grid.seeds.map((seed) => {
      const name = runName(grid.name, `${world.name}-${method.name}`, seed);
      const output = join(grid.output, 'runs', plain(world.name), plain(method.name), `seed-${seed}`);
      const recipe: Recipe = { ...sized, seed, name, output, evaluate: { ...sized.evaluate, title: name } };
      const key = keyOf(recipe, [truth, world.budget, grid.best, grid.rareFrom]);
      return { world, method: method.name, seed, recipe, truth, key };
    });
  } catch (error) {
    if (!(error instanceof RecipeError)) throw error;
    throw new RecipeError(
      'BENCH_RECIPE',
      `Cannot run method "${method.name}" in world "${world.name}" of benchmark "${grid.name}": ${error.message}`,
      { cause: error, details: { benchmark: grid.name, world: world.name, method: method.name } },
    );
  }
}

/** Names and folders say nothing about what comes out. */
function keyOf({ evaluate, ...recipe }: Recipe, others: readonly unknown[]): string {
  return resultKey([{ ...recipe, name: '', output: '', evaluate: { ...evaluate, title: '' } }, ...others]);
}

function load(grid: LanguageGrid, settings: Readonly<Record<string, unknown>>): Recipe {
  return loadRecipe(grid.recipe, {
    overrides: Object.entries(settings).map(([setting, value]) => `${setting}=${JSON.stringify(value)}`),
    workingDirectory: grid.folder,
  });
}

function truthOf({ ranker }: Recipe): string {
  if (ranker.kind === 'function') return ranker.module;
  throw new RecipeError(
    'BENCH_RECIPE',
    `its ranker is of kind ${ranker.kind}, and its world has no truth: name the module of the true reward as truth`,
  );
}

/** A name as one of a folder. */
function plain(name: string): string {
  return name.replace(/[^\w.-]/g, '-');
}

/** In the letters and the length that a run's name may have. */
function runName(bench: string, which: string, seed: number): string {
  const end = `-seed-${seed}`;
  const start = `${bench}-${which}`.toLowerCase().replaceAll(/[^a-z0-9_]+/g, '-');
  return `${start.slice(0, 64 - end.length)}${end}`;
}
