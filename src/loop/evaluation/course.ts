/**
 * @file What follows from a measurement: the best iteration is kept under the name `best`, and a run whose recipe says so ends when an
 * iteration falls behind. Both are decided from the ledger each time, so that another setting takes effect at once.
 */
import { join } from 'node:path';
import { RecipeError } from '../../errors.ts';
import type { LoadedTask } from '../../evaluate/benchmarks/tasks.ts';
import { bestOf, standingOf, worseInARow } from '../../evaluate/selection.ts';
import { commonDifference, FEWEST_PROMPTS, meanByPrompt } from '../../evaluate/statistics.ts';
import { replaceLink } from '../../files/link.ts';
import type { Recipe } from '../../recipe/schema.ts';
import { type CourseStanding, describeStanding } from '../../store/course.ts';
import { scoresBy } from '../../store/measures.ts';
import { isModelThere } from '../lost-models.ts';
import type { IterationContext } from '../stages/stage.ts';

/**
 * Refuses to decide by an interval over too few items, before anything is sampled.
 *
 * @throws RecipeError REGRESSION_TOO_FEW
 */
export function checkCourse(
  { evaluate: { stopOnRegression, mtBench } }: Recipe,
  { heldOut, tasks, instructions }: { heldOut: number; tasks: readonly LoadedTask[]; instructions: number },
): void {
  if (stopOnRegression === null || stopOnRegression.by !== 'interval') return;
  const { measure } = stopOnRegression;
  const name = measure.replaceAll('-', '_');
  const task = tasks.find(({ benchmark }) => benchmark.name === name);
  const judged = new Map([
    ['alpaca_eval', instructions],
    ['mt_bench', mtBench?.limit ?? 80],
  ]);
  const items = judged.get(name) ?? task?.items ?? heldOut;
  if (items >= FEWEST_PROMPTS) return;
  throw new RecipeError(
    'REGRESSION_TOO_FEW',
    `Cannot stop on a regression of ${measure} by its interval: it is measured on ${items} items, and ${FEWEST_PROMPTS} are needed: measure on more, or set evaluate.stopOnRegression.by to a number`,
    { details: { measure, items } },
  );
}

/** Records the best iteration of all that were measured and are there, and links `best` to its model. */
export function keepBest({ recipe, run, ledger, iteration, announce }: IterationContext): void {
  const measure = recipe.evaluate.keepBest;
  if (measure === null) return;
  const scores = scoresBy(ledger, measure);
  const candidates = new Map([...scores].filter(([each]) => each > 0 && isModelThere(run.modelPath(each))));
  const best = bestOf(candidates);
  const own = best === null ? undefined : scores.get(best);
  if (best === null || own === undefined) {
    announce({ kind: 'warning', text: `There is no best iteration by ${measure}: no iteration has a score` });
    return;
  }
  const base = scores.get(0);
  const record = {
    measure,
    iteration: best,
    value: meanByPrompt(own, recipe.seed),
    overBase: base === undefined ? null : commonDifference(own, base, recipe.seed),
  };
  const known = ledger.record(iteration, 'best');
  ledger.putRecord(iteration, 'best', record);
  try {
    replaceLink(join(run.path, 'best'), join(`iteration-${best}`, 'model'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    announce({ kind: 'warning', text: `The best iteration is ${best}, and has no link: ${reason}` });
  }
  if (JSON.stringify(known) === JSON.stringify(record)) return;
  const { value, low, high, count } = record.value;
  const numbers = `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}], n = ${count}`;
  announce({
    kind: 'note',
    text: `Best so far by ${measure}: iteration ${best} (${numbers}), linked as ${join(run.path, 'best')}`,
  });
}

/** Whether the run ends here: the iteration fell behind, as often in a row as the recipe allows, and none has begun after it. */
export function endsHere({ recipe, ledger, iteration, announce }: IterationContext): boolean {
  const rule = recipe.evaluate.stopOnRegression;
  if (rule === null) return false;
  const { measure, by, patience } = rule;
  const scores = scoresBy(ledger, measure);
  const at = { iteration, by, seed: recipe.seed };
  const standing = standingOf(scores, at);
  if (standing === null) {
    // Where the base is not measured, nothing comes before the first.
    if (iteration > 1 || !scores.has(iteration))
      announce({
        kind: 'warning',
        text: `Iteration ${iteration} cannot be compared with those before it by ${measure}`,
      });
    return false;
  }
  const count = worseInARow(scores, at);
  const hasNext = ledger.stages.all().some((stage) => stage.iteration > iteration);
  const record: CourseStanding = {
    ...{ measure, best: standing.best, difference: standing.difference, worseInARow: count },
    ends: count >= patience && !hasNext && iteration < recipe.iterations,
  };
  ledger.putRecord(iteration, 'standing', record);
  if (standing.isWorse) {
    const text = describeStanding(iteration, record);
    const end = record.ends
      ? `The run ends: ${text}; the same command with another evaluate.stopOnRegression goes on`
      : text;
    announce({ kind: 'warning', text: end.charAt(0).toUpperCase() + end.slice(1) });
  }
  return record.ends;
}
