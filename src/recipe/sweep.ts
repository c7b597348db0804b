/**
 * @file A sweep file: one recipe, and the arms in which its settings differ, each run once a seed. What the arms and runs
 * of it are is worked out in src/sweep/plan.ts.
 */
import { join, resolve } from 'node:path';
import { z } from 'zod';
import type { RecipeProblem } from './checks.ts';
import type { RecipeForm } from './explain.ts';
import { integer, listOf, path, title } from './fields.ts';
import { editorSchema, keysOfSchema } from './keys.ts';
import { type LoadOptions, readForm } from './load.ts';
import { nearest } from './nearest.ts';
import { runFields } from './run-fields.ts';
import { recipeKeys } from './schema.ts';

const SETTINGS = 'settings with their values, such as { objective.exploration.alpha: 0.001 }';
const GRID = 'settings with a list of values each, such as { objective.exploration.alpha: [0, 0.001] }';

const settings = () => z.record(z.string(), z.unknown(), { error: SETTINGS });
const grid = () => z.record(z.string(), listOf(z.unknown(), 'a list of values'), { error: GRID });

/** The whole sweep as it is written. */
export const sweepSchema = z
  .strictObject({
    name: runFields.name.describe('Name of the sweep').meta({ change: 'free' }),
    title: title()
      .nullable()
      .default(null)
      .describe('Heading of the comparison; null: the name of the sweep')
      .meta({ change: 'free' }),
    recipe: path('a path to a recipe').describe('Recipe that every run starts from').meta({ change: 'extend' }),
    output: path('a path')
      .nullable()
      .default(null)
      .describe('Folder of the runs, from where the command is started; null: runs/<name>')
      .meta({ change: 'free' }),
    seeds: listOf(integer(0), 'a list of whole numbers from 0')
      .nullable()
      .default(null)
      .describe("Every arm runs once with each; null: the recipe's own seed")
      .meta({ change: 'extend' }),
    parallel: integer(1).default(1).describe('Runs under way at once').meta({ change: 'free' }),
    set: settings()
      .prefault({})
      .describe('Settings of every run that differ from the recipe')
      .meta({ change: 'extend' }),
    grid: z
      .union([grid(), z.array(grid(), { error: GRID })], { error: `${GRID}, or a list of such` })
      .prefault([])
      .describe('An arm for every combination of the values; of several grids, for every combination of each')
      .meta({ change: 'extend' }),
    arms: z
      .array(
        z.strictObject({
          name: z.string({ error: 'a name' }).regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
            error: 'up to 64 letters, digits, ".", "-" and "_", the first a letter or digit',
          }),
          set: settings().prefault({}),
        }),
        { error: 'a list of arms, each with a name and its settings' },
      )
      .prefault([])
      .describe('Further arms, each with a name and the settings in which it differs')
      .meta({ change: 'extend' }),
    baseline: path('the name of an arm, or null')
      .nullable()
      .default(null)
      .describe('Arm that the others are compared with; null: the first')
      .meta({ change: 'free' }),
  })
  .describe('Sweep: one recipe, run with different settings and seeds');

export type SweepInput = z.input<typeof sweepSchema>;
export type ParsedSweep = z.output<typeof sweepSchema>;

/** Settings by their dotted names. */
export type Settings = Readonly<Record<string, unknown>>;
/** Values to try of each setting. */
export type Grid = Readonly<Record<string, readonly unknown[]>>;

/** A sweep with nothing left open: paths are absolute. */
export type Sweep = Omit<ParsedSweep, 'grid' | 'title' | 'output'> & {
  /** Folder of the file: paths among the settings are relative to it. */
  folder: string;
  output: string;
  title: string;
  grids: Grid[];
};

const FORM: RecipeForm<ParsedSweep> = { schema: sweepSchema, crossChecks: checkSweep, noun: 'sweep' };

/** Reads, checks and resolves a sweep file. Throws RecipeError or FileError. */
export function loadSweep(file: string, options: LoadOptions = {}): Sweep {
  const [{ grid: grids, ...parsed }, { folderOf, workingDirectory }] = readForm(file, FORM, options);
  const folder = folderOf('recipe');
  return {
    ...parsed,
    folder,
    recipe: resolve(folder, parsed.recipe),
    output: resolve(workingDirectory, parsed.output ?? join('runs', parsed.name)),
    title: parsed.title ?? parsed.name,
    grids: Array.isArray(grids) ? grids : [grids],
  };
}

/** What a sweep sets itself, with the reason why its arms cannot. */
const RESERVED = new Map([
  ['seed', 'comes from seeds: every arm runs with the same ones'],
  ['name', 'is made from the names of the sweep and the arm'],
  ['output', 'is made from the output of the sweep and the name of the arm'],
]);

/** Settings that no recipe has, seeds given twice. */
export function checkSweep({ seeds, set, grid: given, arms }: ParsedSweep): RecipeProblem[] {
  const grids = Array.isArray(given) ? given : [given];
  const several = Array.isArray(given);
  const twice = seeds?.find((seed, index) => seeds.indexOf(seed) !== index);
  const names = arms.map(({ name }) => name);
  const again = names.findIndex((name, index) => names.indexOf(name) !== index);
  return [
    ...(twice === undefined ? [] : [{ path: ['seeds'], problem: `has ${twice} twice: give each seed once` }]),
    ...(again < 0
      ? []
      : [
          {
            path: ['arms', again, 'name'],
            problem: `is "${names[again]}" as another arm's: give each a name of its own`,
          },
        ]),
    ...settingProblems(['set'], set),
    ...grids.flatMap((each, index) => settingProblems(several ? ['grid', index] : ['grid'], each)),
    ...arms.flatMap((arm, index) => settingProblems(['arms', index, 'set'], arm.set)),
  ];
}

function settingProblems(place: PropertyKey[], values: Settings): RecipeProblem[] {
  const known = recipeKeys();
  return Object.keys(values).flatMap((key): RecipeProblem[] => {
    const reason = RESERVED.get(key);
    if (reason !== undefined) return [{ path: [...place, key], problem: `${reason}: remove it` }];
    if (known.includes(key)) return [];
    const near = nearest(key, known) ?? nearest(lastPart(key), known.map(lastPart));
    const whole = near === null ? null : (known.find((each) => each === near || lastPart(each) === near) ?? near);
    const fix = whole === null ? 'docs/settings.md has all of them' : `did you mean "${whole}"`;
    return [{ path: [...place, key], problem: `is no setting of a recipe: ${fix}` }];
  });
}

function lastPart(key: string): string {
  return key.slice(key.lastIndexOf('.') + 1);
}

/** JSON Schema (2020-12) of a sweep file as it is written, for editors. */
export function sweepJsonSchema(): Record<string, unknown> {
  return editorSchema(sweepSchema);
}

/** Every key with its path, in order. */
export function sweepKeys(): string[] {
  return keysOfSchema(sweepSchema);
}
