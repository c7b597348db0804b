/** @file What is wrong with a recipe, in words: each problem with its line, its value, what is allowed and the nearest right key. */
import type { z } from 'zod';
import { RecipeError, shownValue } from '../errors.ts';
import type { RecipeProblem } from './checks.ts';
import { keysOfSchema } from './keys.ts';
import { nearest } from './nearest.ts';
import type { Origin, RecipeSource } from './source.ts';

/** A kind of recipe: its schema, and what cannot be meant across its fields. */
export interface RecipeForm<Parsed> {
  schema: z.ZodType<Parsed>;
  crossChecks: (parsed: Parsed) => RecipeProblem[];
  /** What a file of this kind is called in messages. @default recipe */
  noun?: string;
}

/** Checks what was read against its form; `what` and `file` say in an error what that is. Throws RecipeError. */
export function checkSource<Parsed>(
  source: RecipeSource,
  form: RecipeForm<Parsed>,
  { what, file }: { what: string; file: string | null },
): Parsed {
  const result = form.schema.safeParse(source.value);
  const keys = keysOfSchema(form.schema);
  const problems = result.success
    ? form.crossChecks(result.data)
    : result.error.issues.flatMap((issue) => explain(issue, { root: source.value, keys }));
  if (result.success && problems.length === 0) return result.data;
  const lines = problems.map(({ path, problem }) => `${where(source, path)}${problem}`);
  const message =
    lines.length === 1
      ? `Cannot use ${what}: ${lines[0]}`
      : `Cannot use ${what}: it has ${lines.length} problems:\n${lines.map((line) => `  ${line}`).join('\n')}`;
  throw new RecipeError('RECIPE_INVALID', message, {
    details: {
      file,
      problems: problems.map(({ path, problem }) => ({
        field: path.join('.'),
        origin: mayHoldSecret(path) ? null : source.origin(path),
        problem,
      })),
    },
  });
}

/** `line 12: training.cycle `, `--set a.b=c: a.b `, or for what is not there the line of the section around it. */
function where(source: RecipeSource, path: readonly PropertyKey[]): string {
  const field = path.length === 0 ? 'the recipe ' : `${path.map(String).join('.')} `;
  for (let length = path.length; length > 0; length--) {
    const origin = source.origin(path.slice(0, length));
    if (origin !== null) return `${originText(origin, mayHoldSecret(path))}: ${field}`;
  }
  return field;
}

function originText(origin: Origin, secret: boolean): string {
  if (origin.kind === 'line') return `line ${origin.line}`;
  return secret ? `--set ${origin.text.split('=', 1)[0]}=...` : `--set ${origin.text}`;
}

/** Whether someone may put a key there by mistake, which must not reach a terminal or a log. */
function mayHoldSecret(path: readonly PropertyKey[]): boolean {
  return ['apiKeyVariable', 'baseUrl', 'url'].includes(String(path.at(-1)));
}

/** What a recipe holds, and every key that its form has. */
interface Place {
  root: unknown;
  keys: readonly string[];
}

function explain(issue: z.core.$ZodIssue, { root, keys }: Place): RecipeProblem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: [...issue.path, key],
      problem: unknownKey(issue.path, key, { root, keys }),
    }));
  }
  const value = valueAt(root, issue.path);
  const allowed = allowedText(issue, keys);
  if (value !== undefined && mayHoldSecret(issue.path))
    return [{ path: issue.path, problem: `is not usable (its value is not shown): allowed is ${allowed}` }];
  const problem = value === undefined ? `is missing: set it to ${allowed}` : `is ${show(value)}: allowed is ${allowed}`;
  return [{ path: issue.path, problem }];
}

/** Sections have no text of their own; fields bring theirs. A list's wrong item is reported as the item. */
function allowedText(issue: z.core.$ZodIssue, all: readonly string[]): string {
  const isSection = issue.code === 'invalid_type' && issue.expected === 'object';
  if (!isSection) return issue.message;
  const field = issue.path.join('.');
  const keys = keysOf(field, all);
  const sample = keys.includes('kind') ? ['kind'] : keys.slice(0, 3);
  return field !== '' ? `a section with ${sample.join(', ')} ...` : 'a map of settings';
}

/** Settings that one preference loss has and the others have not. */
const KIND_OF_SETTING = new Map([
  ['labelSmoothing', 'dpo'],
  ['penalty', 'dpop'],
  ['targets', 'sppo'],
  ['chosenWeight', 'kto'],
  ['rejectedWeight', 'kto'],
  ['examples', 'kto'],
]);

function unknownKey(path: readonly PropertyKey[], key: string, { root, keys: elsewhere }: Place): string {
  const section = path.join('.');
  const kind = section === 'objective.preference' ? KIND_OF_SETTING.get(key) : undefined;
  if (kind !== undefined) {
    return `is only for kind ${kind}, this is ${show(valueAt(root, [...path, 'kind']))}: remove it`;
  }
  if (section === 'objective.exploration' && key === 'alpha') return 'is for every kind but none: remove it';
  if (key === 'budget' && valueAt(root, [...path, 'kind']) === 'people')
    return 'is select.budget, whatever ranks: move it there';
  const here = keysOf(section, elsewhere);
  const near = nearest(key, here);
  if (near !== null) return `is unknown: did you mean "${near}"`;
  const name = nearest(key, elsewhere.map(lastPart));
  // A fine-tuning before the run has settings of the same names; the run's own are what is meant.
  const homes = elsewhere.filter((candidate) => name !== null && lastPart(candidate) === name);
  const home = homes.find((candidate) => !candidate.startsWith('sft.')) ?? homes[0];
  if (home !== undefined) return `is unknown here: did you mean "${home}"`;
  return `is unknown: allowed are ${here.join(', ')}`;
}

/** Names of the keys directly in a section. */
function keysOf(section: string, all: readonly string[]): string[] {
  const prefix = section === '' ? '' : `${section}.`;
  const inside = all.filter((key) => key.startsWith(prefix));
  return inside.map((key) => key.slice(prefix.length)).filter((key) => !key.includes('.'));
}

function lastPart(key: string): string {
  return key.slice(key.lastIndexOf('.') + 1);
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

function show(value: unknown): string {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return 'a section';
  return typeof value === 'number' ? String(value) : shownValue(value, 80);
}
