/**
 * @file Reads a recipe: YAML and `--set` overrides in, a resolved Recipe out, or one RecipeError that lists every problem
 * with its line, its value, what is allowed and the nearest right key.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { RecipeError, shownValue } from '../errors.ts';
import { fileError } from '../files/fs.ts';
import { checkRecipe, type RecipeProblem } from './checks.ts';
import { nearest } from './nearest.ts';
import {
  type ParsedRecipe,
  type RankerSettings,
  type Recipe,
  rankerSchema,
  recipeKeys,
  recipeSchema,
} from './schema.ts';
import { type Origin, override, parseSource, type RecipeSource } from './source.ts';

/** Options of `loadRecipe`. */
export interface LoadOptions {
  /** `key.path=value` each; paths among them are relative to the current directory. @default [] */
  overrides?: readonly string[];
  /** @default the current directory */
  workingDirectory?: string;
}

/** Options of `parseRecipe`. */
export interface ParseOptions {
  /** Folder that paths are relative to. @default the current directory */
  directory?: string;
  /** Folder that `output` is relative to. @default the current directory */
  workingDirectory?: string;
}

/** Reads, checks and resolves a recipe file. Throws RecipeError or FileError. */
export function loadRecipe(
  path: string,
  { overrides = [], workingDirectory = process.cwd() }: LoadOptions = {},
): Recipe {
  let text: string;
  try {
    text = readFileSync(resolve(workingDirectory, path), 'utf8');
  } catch (error) {
    throw fileError(error, { action: 'read recipe', path });
  }
  const source = override(parseSource(text, path), overrides);
  const directory = dirname(resolve(workingDirectory, path));
  return resolveRecipe(
    check(source, path),
    (field) => {
      return source.origin(field.split('.'))?.kind === 'override' ? workingDirectory : directory;
    },
    workingDirectory,
  );
}

/** Checks and resolves a recipe that is already a value (from code or JSON). Throws RecipeError. */
export function parseRecipe(
  value: unknown,
  { directory, workingDirectory = process.cwd() }: ParseOptions = {},
): Recipe {
  const parsed = check({ value, origin: () => null }, null);
  return resolveRecipe(parsed, () => directory ?? workingDirectory, workingDirectory);
}

/**
 * A ranker alone, for use without a recipe: checked as the `ranker` section, its paths and those of the overrides
 * (`ranker.budget.calls=10`) relative to the current directory. Throws RecipeError.
 */
export function loadRanker(
  settings: unknown,
  { overrides = [], workingDirectory = process.cwd() }: LoadOptions = {},
): RankerSettings {
  const source = override({ value: { ranker: settings }, origin: () => null }, overrides);
  const result = rankerAlone.safeParse(source.value);
  if (!result.success) {
    const problems = result.error.issues.flatMap((issue) => explain(issue, source.value));
    throw invalid(source, { what: 'this ranker', file: null, problems });
  }
  return resolveRanker(result.data.ranker, (_, path) => resolve(workingDirectory, path));
}

const rankerAlone = z.strictObject({ ranker: rankerSchema });

function resolveRecipe(parsed: ParsedRecipe, folderOf: (field: string) => string, workingDirectory: string): Recipe {
  const from = (field: string, path: string) => resolve(folderOf(field), path);
  const { data, slices, evaluate, iterations, warmStart } = parsed;
  const files = Array.isArray(data.train) ? data.train : [data.train];
  return {
    ...parsed,
    output: resolve(workingDirectory, parsed.output ?? join('runs', parsed.name)),
    model: from('model', parsed.model),
    data: { ...data, train: files.map((file) => from('data.train', file)) },
    slices: { ...slices, count: slices.count ?? iterations + (warmStart === 'dpo' ? 1 : 0) },
    ranker: resolveRanker(parsed.ranker, (key, path) => from(`ranker.${key}`, path)),
    secondOpinion:
      parsed.secondOpinion === null
        ? null
        : {
            ...parsed.secondOpinion,
            ranker: resolveRanker(parsed.secondOpinion.ranker, (key, path) =>
              from(`secondOpinion.ranker.${key}`, path),
            ),
          },
    evaluate: {
      ...evaluate,
      prompts: evaluate.prompts === null ? null : from('evaluate.prompts', evaluate.prompts),
      maxNewTokens: evaluate.maxNewTokens ?? parsed.sampling.maxNewTokens,
      title: evaluate.title ?? parsed.name,
    },
  };
}

/** Paths of a ranker, made absolute: `from` takes the key inside its section. */
export function resolveRanker(ranker: RankerSettings, from: (key: string, path: string) => string): RankerSettings {
  switch (ranker.kind) {
    case 'function':
      return { ...ranker, module: from('module', ranker.module) };
    case 'pairrm':
    case 'reward-model':
      return { ...ranker, model: from('model', ranker.model) };
    case 'judge': {
      const { ask } = ranker;
      return { ...ranker, ask: { ...ask, prompt: ask.prompt === null ? null : from('ask.prompt', ask.prompt) } };
    }
  }
}

function check(source: RecipeSource, file: string | null): ParsedRecipe {
  const result = recipeSchema.safeParse(source.value);
  const problems = result.success
    ? checkRecipe(result.data)
    : result.error.issues.flatMap((issue) => explain(issue, source.value));
  if (result.success && problems.length === 0) return result.data;
  throw invalid(source, { what: file === null ? 'this recipe' : `recipe "${file}"`, file, problems });
}

/** One error that lists every problem. */
function invalid(
  source: RecipeSource,
  { what, file, problems }: { what: string; file: string | null; problems: readonly RecipeProblem[] },
): RecipeError {
  const lines = problems.map(({ path, problem }) => `${where(source, path)}${problem}`);
  const message =
    lines.length === 1
      ? `Cannot use ${what}: ${lines[0]}`
      : `Cannot use ${what}: it has ${lines.length} problems:\n${lines.map((line) => `  ${line}`).join('\n')}`;
  return new RecipeError('RECIPE_INVALID', message, {
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
  return ['apiKeyVariable', 'baseUrl'].includes(String(path.at(-1)));
}

function explain(issue: z.core.$ZodIssue, root: unknown): RecipeProblem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key], problem: unknownKey(issue.path, key, root) }));
  }
  const value = valueAt(root, issue.path);
  const allowed = allowedText(issue);
  if (value !== undefined && mayHoldSecret(issue.path))
    return [{ path: issue.path, problem: `is not usable (its value is not shown): allowed is ${allowed}` }];
  const problem = value === undefined ? `is missing: set it to ${allowed}` : `is ${show(value)}: allowed is ${allowed}`;
  return [{ path: issue.path, problem }];
}

/** Sections have no text of their own; fields bring theirs. A list's wrong item is reported as the item. */
function allowedText(issue: z.core.$ZodIssue): string {
  const isSection = issue.code === 'invalid_type' && issue.expected === 'object';
  if (!isSection) return issue.message;
  const field = issue.path.join('.');
  const keys = keysOf(field);
  const sample = keys.includes('kind') ? ['kind'] : keys.slice(0, 3);
  return field !== '' ? `a section with ${sample.join(', ')} ...` : 'a map of settings';
}

/** Settings that one preference loss has and the others have not. */
const KIND_OF_SETTING = new Map([
  ['labelSmoothing', 'dpo'],
  ['targets', 'sppo'],
  ['chosenWeight', 'kto'],
  ['rejectedWeight', 'kto'],
]);

function unknownKey(path: readonly PropertyKey[], key: string, root: unknown): string {
  const section = path.join('.');
  const kind = section === 'objective.preference' ? KIND_OF_SETTING.get(key) : undefined;
  if (kind !== undefined) {
    return `is only for kind ${kind}, this is ${show(valueAt(root, [...path, 'kind']))}: remove it`;
  }
  if (section === 'objective.exploration' && key === 'alpha') return 'is only for kinds selm and xpo: remove it';
  const here = keysOf(section);
  const near = nearest(key, here);
  if (near !== null) return `is unknown: did you mean "${near}"`;
  const elsewhere = recipeKeys();
  const name = nearest(key, elsewhere.map(lastPart));
  const home = elsewhere.find((candidate) => name !== null && lastPart(candidate) === name);
  if (home !== undefined) return `is unknown here: did you mean "${home}"`;
  return `is unknown: allowed are ${here.join(', ')}`;
}

/** Names of the keys directly in a section. */
function keysOf(section: string): string[] {
  const prefix = section === '' ? '' : `${section}.`;
  const inside = recipeKeys().filter((key) => key.startsWith(prefix));
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
