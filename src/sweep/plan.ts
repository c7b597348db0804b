/** @file The runs of a sweep: each arm with each seed, as a checked recipe with a folder of its own. */
import { join } from 'node:path';
import { RecipeError } from '../errors.ts';
import { loadRecipe } from '../recipe/load.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { Settings, Sweep } from '../recipe/sweep.ts';
import { type Arm, armsOf } from './arms.ts';

/** One run of a sweep. */
export interface PlannedRun {
  /** Name of the first arm that it belongs to. */
  arm: string;
  seed: number;
  recipe: Recipe;
}

/** An arm with its runs by seed. Two arms whose settings come to the same recipe have the same runs. */
export interface PlannedArm extends Arm {
  runs: { seed: number; path: string }[];
}

export interface SweepPlan {
  sweep: Sweep;
  arms: PlannedArm[];
  /** In the order in which they begin: seed by seed, so that a sweep that is stopped has whole comparisons. */
  runs: PlannedRun[];
}

/** Loads every recipe of a sweep, so that a mistake in the last arm is told before the first one runs. Throws RecipeError. */
export function planSweep(sweep: Sweep): SweepPlan {
  const arms = armsOf(sweep);
  const seeds = sweep.seeds ?? [loadRecipe(sweep.recipe, { workingDirectory: sweep.folder }).seed];
  const runs: PlannedRun[] = [];
  const planned = arms.map((arm): PlannedArm => ({ ...arm, runs: [] }));
  const byContent = new Map<string, PlannedRun>();
  const problems = new Map<string, RecipeError>();
  for (const seed of seeds) {
    for (const arm of planned) {
      try {
        const recipe = recipeOf(sweep, arm, seed);
        const { name: _, output: __, ...content } = recipe;
        const { title: ___, ...evaluate } = content.evaluate; // made from the name where it is not set
        const key = JSON.stringify({ ...content, evaluate });
        const run = byContent.get(key) ?? { arm: arm.name, seed, recipe };
        if (!byContent.has(key)) runs.push(run);
        byContent.set(key, run);
        arm.runs.push({ seed, path: run.recipe.output });
      } catch (error) {
        if (!(error instanceof RecipeError)) throw error;
        problems.set(arm.name, error);
      }
    }
  }
  const [first] = problems;
  if (first !== undefined) throw unusableArm(sweep, first, problems.size - 1);
  refuseTwins(sweep, runs);
  return { sweep, arms: planned, runs };
}

function recipeOf(sweep: Sweep, arm: Arm, seed: number): Recipe {
  const overrides: Settings = {
    ...sweep.set,
    ...arm.settings,
    seed,
    name: runName(sweep.name, arm.name, seed),
    output: join(sweep.output, arm.name, `seed-${seed}`),
  };
  return loadRecipe(sweep.recipe, {
    overrides: Object.entries(overrides).map(([setting, value]) => `${setting}=${JSON.stringify(value)}`),
    workingDirectory: sweep.folder,
  });
}

/** `my-sweep-alpha-0_005-seed-1`, in the letters and the length that a run's name may have. */
function runName(sweep: string, arm: string, seed: number): string {
  const end = `-seed-${seed}`;
  const start = `${sweep}-${arm}`.toLowerCase().replaceAll('.', '_');
  return `${start.slice(0, 64 - end.length)}${end}`;
}

function unusableArm({ name }: Sweep, [arm, error]: [string, RecipeError], others: number): RecipeError {
  const more = others === 0 ? '' : ` (${others} more of its arms have problems too)`;
  return new RecipeError('SWEEP_ARM', `Cannot run arm "${arm}" of sweep "${name}"${more}: ${error.message}`, {
    cause: error,
    details: { sweep: name, arm, ...error.details },
  });
}

/** A twin beside every run would double the work for a comparison that the arms make themselves. */
function refuseTwins({ name }: Sweep, runs: readonly PlannedRun[]): void {
  const twin = runs.find(({ recipe }) => recipe.evaluate.twin !== false);
  if (twin === undefined) return;
  throw new RecipeError(
    'SWEEP_TWIN',
    `Cannot run sweep "${name}": evaluate.twin is ${twin.recipe.evaluate.twin}, so that every run would be made twice: add "evaluate.twin: false" to set, and an arm with alpha 0`,
    { details: { sweep: name, arm: twin.arm } },
  );
}
