/**
 * @file What happens when the settings or inputs of a run are not those it began with: whether it continues, what is redone,
 * and whether the user must agree first. The schema says at each field what a change of it means (recipe/fields.ts); here
 * that is combined with what the run has made so far. The table for people: docs/resuming.md.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Change } from '../recipe/fields.ts';
import { fieldAt } from '../recipe/keys.ts';
import { recipeSchema } from '../recipe/schema.ts';
import { sftRecipeSchema } from '../recipe/sft.ts';
import { type Difference, differences } from './differences.ts';
import { inputDifferences, type RunIdentity } from './identity.ts';
import type { Ledger } from './ledger.ts';
import type { AnyRecipe } from './run-config.ts';

/** Where the work of an iteration begins again. */
export type RedoFrom = Extract<Change, 'train' | 'pair' | 'rank' | 'select' | 'sample'>;

/** What a change comes to in a run as far as it has got. */
export type Effect =
  /** Nothing that comes out is different. */
  | { kind: 'none' }
  /** What is still to come may be different. */
  | { kind: 'later' }
  /** Nothing was made with the old value yet. */
  | { kind: 'unused' }
  | { kind: 'measured-again' }
  /** The first unfinished iteration is done again from a stage on, if the user accepts it. */
  | { kind: 'done-again'; from: RedoFrom; reason?: string }
  | { kind: 'refused'; reason?: string };

/** A setting or an input that is not what it was, and what that comes to. */
export interface RunChange extends Difference {
  /** Set where the content behind a path changed: the path, or several. */
  content?: string;
  effect: Effect;
}

/** What a run is or is asked to be: its recipe and the fingerprints of its inputs. */
export interface RunContent {
  recipe: AnyRecipe;
  /** With paths in place of names on the Hub. @default recipe */
  local?: AnyRecipe;
  identity: RunIdentity;
}

/** How far a run has got, as far as that decides what may change. */
export interface Progress {
  /** The works of which something was made. */
  made: ReadonlySet<RedoFrom | 'measure'>;
  /** The last iteration that has begun; 0 when none has. */
  lastBegun: number;
}

/** The progress of the run of a ledger. */
export function progressOf(ledger: Ledger): Progress {
  const stages = ledger.stages.all();
  const iterations = [...new Set(stages.map(({ iteration }) => iteration))];
  const made = new Set<RedoFrom | 'measure'>();
  // Each work rests on those before it, and what was measured on the sampling and the ranker.
  if (stages.some(({ stage, status }) => stage === 'evaluate' && status === 'finished')) made.add('measure');
  if (stages.some(({ stage }) => stage === 'train' || stage === 'sft')) made.add('train');
  if (iterations.some((iteration) => ledger.pairs(iteration).length > 0)) made.add('pair');
  if (made.has('measure') || iterations.some((iteration) => ledger.rankings(iteration).length > 0)) made.add('rank');
  if (made.has('rank') || stages.some(({ stage }) => stage === 'select')) made.add('select');
  if (made.size > 0 || iterations.some((iteration) => ledger.responses(iteration).length > 0)) made.add('sample');
  return { made, lastBegun: Math.max(0, ...iterations) };
}

/** Everything in which a run that is asked for differs from the one that is there. */
export function changesBetween(
  { recipe, identity }: RunContent,
  asked: RunContent,
  progress: () => Progress,
): RunChange[] {
  const settings = differences(recipe, asked.recipe)
    // The fine-tuning inside a run is a run of its own, which decides what may change in it.
    .filter(({ field }) => !field.startsWith('sft.'))
    .filter(({ field }) => !isPath(field, asked.recipe))
    .map((difference) => ({ ...difference, effect: effectOf(difference, { recipe, asked: asked.recipe, progress }) }));
  const inputs = inputDifferences(identity, asked.identity, asked.local ?? asked.recipe).map(
    ({ change, ...input }) => ({
      ...input,
      effect: effectOfChange(change, progress),
    }),
  );
  return [...settings, ...inputs];
}

/** Whether the rankers are others than they were. */
export function changesRankers(changes: readonly RunChange[]): boolean {
  const isRanker = ({ field }: RunChange): boolean => /^(ranker|secondOpinion|select\.otherwise)\b/.test(field);
  return changes.some((change) => isRanker(change) && change.effect.kind !== 'none' && change.effect.kind !== 'later');
}

function isPath(field: string, recipe: AnyRecipe): boolean {
  return fieldAt(schemaOf(recipe), field, recipe)?.comparedByContent === true;
}

function schemaOf(recipe: AnyRecipe): typeof recipeSchema | typeof sftRecipeSchema {
  return 'ranker' in recipe ? recipeSchema : sftRecipeSchema;
}

/** What a change is judged by: the recipe of the run, the one that is asked for, and how far the run has got. */
interface Recipes {
  recipe: AnyRecipe;
  asked: AnyRecipe;
  progress: () => Progress;
}

function effectOf({ field, old, new: value }: Difference, { recipe, asked, progress }: Recipes): Effect {
  if (field === 'slices.count' && keepsSlices(recipe, asked)) return { kind: 'none' };
  if (isExtension(old, value, progress)) return { kind: 'none' };
  const change =
    fieldAt(schemaOf(asked), field, asked)?.change ?? fieldAt(schemaOf(recipe), field, recipe)?.change ?? 'never';
  const effect =
    change === 'extend' ? extensionOf(Number(value), { recipe, asked, progress }) : effectOfChange(change, progress);
  if (field === 'slices.count' && effect.kind === 'refused') return { kind: 'refused', reason: slicesReason(old) };
  return effect;
}

function effectOfChange(change: Change, progress: () => Progress): Effect {
  switch (change) {
    case 'free':
      return { kind: 'none' };
    case 'warn':
      return { kind: 'later' };
    case 'measure':
      return progress().made.has('measure') ? { kind: 'measured-again' } : { kind: 'unused' };
    case 'train':
    case 'pair':
    case 'rank':
    case 'select':
    case 'sample':
      return progress().made.has(change) ? { kind: 'done-again', from: change } : { kind: 'unused' };
    case 'never':
      return progress().made.has('sample') ? { kind: 'refused' } : { kind: 'unused' };
    case 'extend':
      return { kind: 'none' };
    default:
      return change satisfies never;
  }
}

/** More iterations come after those that are there; fewer are possible where the rest has not begun. */
function extensionOf(iterations: number, { asked, progress }: Recipes): Effect {
  const { lastBegun, made } = progress();
  if (lastBegun > iterations) return { kind: 'refused', reason: `iteration ${lastBegun} has begun` };
  const cycle = 'cycle' in asked.training ? asked.training.cycle : 'constant';
  if (cycle !== 'linear' && cycle !== 'decayed-last') return { kind: 'none' };
  const reason = `training.cycle is ${cycle}, which gives every iteration a learning rate by how many there are`;
  return made.has('train') ? { kind: 'done-again', from: 'train', reason } : { kind: 'unused' };
}

/** A list with one value an iteration that is longer or shorter by iterations which have not begun. */
function isExtension(old: unknown, value: unknown, progress: () => Progress): boolean {
  if (!Array.isArray(old) || !Array.isArray(value)) return false;
  const common = Math.min(old.length, value.length);
  if (!old.concat(value).every((each) => typeof each === 'number') || old.length === value.length) return false;
  return isDeepStrictEqual(old.slice(0, common), value.slice(0, common)) && progress().lastBegun <= common;
}

/** With a size of their own, and none used twice, slices stay where they are when there are more or fewer of them. */
function keepsSlices(recipe: AnyRecipe, asked: AnyRecipe): boolean {
  if (!('slices' in recipe && 'slices' in asked)) return false;
  return [recipe.slices, asked.slices].every(
    ({ size, share, reuse }) => (size !== null || share !== null) && reuse === 'never',
  );
}

function slicesReason(count: unknown): string {
  return `it follows from iterations where it is not set, and would cut other slices for the iterations that are done: set slices.count to ${String(count)}, and slices.reuse to cycle if there are more iterations than slices`;
}
