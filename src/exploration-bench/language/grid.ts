/**
 * @file The file of a benchmark with a language model: a recipe, worlds and methods as settings of it in which they differ, and how
 * many labels each run may ask. A world says which reward is true; its ranker may be noisier than that.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import type { RecipeProblem } from '../../recipe/checks.ts';
import { integer, listOf, number, path, positive } from '../../recipe/fields.ts';
import { type LoadOptions, readForm } from '../../recipe/load.ts';
import { runFields } from '../../recipe/run-fields.ts';
import { parseSource } from '../../recipe/source.ts';
import type { Settings } from '../../recipe/sweep.ts';
import { gridProblems } from '../names.ts';

const settings = () =>
  z
    .record(z.string(), z.unknown(), {
      error: 'settings with their values, such as { objective.exploration.alpha: 0.001 }',
    })
    .prefault({});

const world = z.strictObject({
  name: path('a name'),
  set: settings(),
  /** Module of the true reward, where the recipe's ranker is not it. */
  truth: path('a path to a module, or null').nullable().default(null),
});

/** The whole file as it is written. */
const languageGridSchema = z.strictObject({
  name: runFields.name,
  output: path('a path').nullable().default(null),
  recipe: path('a path to a recipe'),
  seeds: z.strictObject({ first: integer(0).default(1), count: integer(2).default(10) }).prefault({}),
  labels: integer(1),
  labelsAnIteration: integer(1),
  /** Sampled tokens over which the area against tokens goes. */
  tokens: integer(1),
  /** Answers of the data that are ranked beside the samples. */
  answersOfData: integer(0).default(0),
  best: positive().default(1),
  rareFrom: number('a number', Number.isFinite),
  worlds: listOf(world, 'a list of worlds, each with a name'),
  baseline: path('the name of a method'),
  drawn: listOf(path('the name of a method'), 'a list of names of methods'),
  methods: listOf(z.strictObject({ name: path('a name'), set: settings() }), 'a list of methods, each with a name'),
});

type Parsed = z.output<typeof languageGridSchema>;

/** How much a run asks, and on which scale it is measured. */
export interface LanguageBudget {
  /** Labels in all, and between two policies. */
  readonly labels: number;
  readonly labelsAnIteration: number;
  /** Sampled tokens over which reward is averaged, where that is done by tokens. */
  readonly tokens: number;
}

/** A world: settings of the recipe, and the module of the true reward (null: the recipe's own ranker). */
export interface LanguageWorld {
  readonly name: string;
  readonly set: Settings;
  readonly truth: string | null;
  readonly budget: LanguageBudget;
}

/** A benchmark with nothing left open. Paths among the settings are relative to `folder`, that of the file. */
export interface LanguageGrid {
  readonly name: string;
  readonly output: string;
  readonly folder: string;
  readonly recipe: string;
  readonly seeds: readonly number[];
  readonly baseline: string;
  readonly drawn: readonly string[];
  /** Answers of the data that are ranked beside the samples: 2 where its rows are pairs, and cost labels too. */
  readonly answersOfData: number;
  /** The largest reward that there is, and the reward from which on an answer counts as a rare one. */
  readonly best: number;
  readonly rareFrom: number;
  readonly worlds: readonly LanguageWorld[];
  readonly methods: readonly { readonly name: string; readonly set: Settings }[];
}

/** What the benchmark sets itself, with the reason why worlds and methods cannot. */
const RESERVED = new Map([
  ['seed', 'comes from seeds'],
  ['name', 'is made from the names of the benchmark, the world and the method'],
  ['output', 'is made from the output of the benchmark'],
  ['iterations', 'is labels divided by labelsAnIteration'],
  ['slices.size', 'follows from labelsAnIteration and the labels that a prompt takes'],
]);

/** Whether a file is of this kind: it names a recipe. What cannot be read is not, and whoever reads it next says why. */
export function isLanguageGrid(file: string): boolean {
  try {
    const { value } = parseSource(readFileSync(file, 'utf8'), file);
    return typeof value === 'object' && value !== null && 'recipe' in value;
  } catch {
    return false;
  }
}

/** Reads, checks and resolves the file. Throws RecipeError or FileError. */
export function loadLanguageGrid(file: string, options: LoadOptions = {}): LanguageGrid {
  const form = { schema: languageGridSchema, crossChecks: checkGrid, noun: 'benchmark' };
  const [parsed, { folderOf, workingDirectory }] = readForm(file, form, options);
  const { name, output, recipe, seeds, labels, labelsAnIteration, tokens, worlds, ...others } = parsed;
  const folder = folderOf('recipe');
  return {
    ...others,
    name,
    output: resolve(workingDirectory, output ?? join('runs', name)),
    folder,
    recipe: resolve(folder, recipe),
    seeds: Array.from({ length: seeds.count }, (_, index) => seeds.first + index),
    worlds: worlds.map(({ truth, ...rest }) => ({
      ...rest,
      truth: truth === null ? null : resolve(folder, truth),
      budget: { labels, labelsAnIteration, tokens },
    })),
  };
}

function checkGrid(parsed: Parsed): RecipeProblem[] {
  const reserved = (['worlds', 'methods'] as const).flatMap((key) =>
    parsed[key].flatMap(({ set }, index) =>
      Object.keys(set).flatMap((setting): RecipeProblem[] => {
        const reason = RESERVED.get(setting);
        return reason === undefined ? [] : [{ path: [key, index, 'set', setting], problem: `${reason}: remove it` }];
      }),
    ),
  );
  return [...gridProblems(parsed), ...reserved];
}
