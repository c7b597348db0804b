/**
 * @file config.yaml of a run directory: the recipe of the run, what its inputs were, and where it was made. One that an
 * older version wrote is brought up to date when it is read (run-config-versions.ts), and its recipe is made whole.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { RunError } from '../errors.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { errorCode, fileError } from '../files/fs.ts';
import type { HubPin } from '../hub/fetch.ts';
import { completeRecipe, completeSftRecipe } from '../recipe/load.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import type { Difference } from './differences.ts';
import type { RunEnvironment, RunIdentity } from './identity.ts';
import { RUN_FORMAT_VERSION, upToDate } from './run-config-versions.ts';

/** Runs of Algorithm 1, and supervised fine-tunings. */
export type AnyRecipe = Recipe | SftRecipe;

/** Content of config.yaml. */
export interface RunConfig<R extends AnyRecipe = Recipe> {
  formatVersion: typeof RUN_FORMAT_VERSION;
  createdAt: string;
  /** As the run is now; what it was before is in `continuedIn`. */
  recipe: R;
  identity: RunIdentity;
  /** The commits of what the recipe names on the Hub; absent where it names nothing there. */
  hub?: HubPin[];
  environment: RunEnvironment;
  continuedIn: Continuation[];
}

/** A time at which the run went on in another environment or under other settings. */
export interface Continuation {
  at: string;
  environment: RunEnvironment;
  settings?: Difference[];
  /** What was done again because of them, in a sentence. */
  doneAgain?: string;
}

/** Content of a run directory's config.yaml, or null when there is none. Throws RunError when it cannot be understood. */
export function readRunConfig<R extends AnyRecipe = Recipe>(path: string): RunConfig<R> | null {
  const file = join(path, 'config.yaml');
  let value: unknown;
  try {
    value = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    if (errorCode(error)?.startsWith('E')) throw fileError(error, { action: 'read', path: file });
    throw damaged(file, error);
  }
  const { formatVersion } = asRecord(value);
  if (typeof formatVersion === 'number' && formatVersion > RUN_FORMAT_VERSION) {
    throw new RunError(
      'FORMAT_NEWER',
      `Cannot open run "${path}": it has format version ${formatVersion}, this program knows ${RUN_FORMAT_VERSION}: update selm`,
      { details: { path, formatVersion } },
    );
  }
  const { recipe, identity, environment, continuedIn } = asRecord(value);
  const whole = [recipe, identity, environment].every((part) => Object.keys(asRecord(part)).length > 0);
  if (!Number.isInteger(formatVersion) || Number(formatVersion) < 1 || !whole || !Array.isArray(continuedIn))
    throw damaged(file);
  // Written by `writeRunConfig` under that version; the fields that matter are compared one by one.
  const config = upToDate(value as { formatVersion: number }) as unknown as RunConfig<R>;
  return { ...config, recipe: completed(config.recipe) };
}

/**
 * A recipe that leaves open how texts are read (text.prompts: null), as the run in its output directory reads them: a
 * run that goes on does not change its ways because the default or the model's template did.
 */
export function readingAsBefore<R extends AnyRecipe>(recipe: R): R {
  if (recipe.text.prompts !== null) return recipe;
  const prompts = readRunConfig<R>(recipe.output)?.recipe.text.prompts ?? null;
  return prompts === null ? recipe : { ...recipe, text: { ...recipe.text, prompts } };
}

/** Writes config.yaml, whole or not at all. */
export function writeRunConfig(path: string, config: RunConfig<AnyRecipe>): void {
  const head =
    '# Written by selm: what this run is, resolved. To change a setting, change the recipe and run the same command again.\n';
  writeFileAtomic(join(path, 'config.yaml'), head + stringify(config, { lineWidth: 0, aliasDuplicateObjects: false }));
}

/** The recipe with the settings that came after it, at their defaults. */
function completed<R extends AnyRecipe>(recipe: R): R {
  const whole: AnyRecipe = 'ranker' in recipe ? completeRecipe(recipe) : completeSftRecipe(recipe);
  return whole as R; // of the kind that went in
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function damaged(file: string, cause?: unknown): RunError {
  return new RunError(
    'RUN_DAMAGED',
    `Cannot read "${file}": it is not the configuration of a run: restore it, or start a new run`,
    { cause, details: { file } },
  );
}
