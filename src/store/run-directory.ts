/**
 * @file The run directory: `openRun(recipe, ...)` creates it, or goes on with the run that is there when that is the same
 * run. config.yaml says what the run is; run.db (ledger.ts) what it did; the lock keeps a second process out.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { RunError } from '../errors.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { errorCode, fileError, makeFolder } from '../files/fs.ts';
import { acquireLock, type Lock } from '../files/lock.ts';
import type { HubPin } from '../hub/fetch.ts';
import { rankerModel } from '../rank/open.ts';
import { fieldAt } from '../recipe/keys.ts';
import { type Recipe, recipeSchema } from '../recipe/schema.ts';
import { type SftRecipe, sftRecipeSchema } from '../recipe/sft.ts';
import type { Announce } from './events.ts';
import { allRankerFiles, type RunEnvironment, type RunIdentity, runEnvironment, runIdentity } from './identity.ts';
import { type Ledger, openLedger } from './ledger.ts';

/** Version of config.yaml and of the layout of the directory. */
export const RUN_FORMAT_VERSION = 1;

/** Runs of Algorithm 1, and supervised fine-tunings. */
export type AnyRecipe = Recipe | SftRecipe;

/** Content of config.yaml. */
export interface RunConfig<R extends AnyRecipe = Recipe> {
  formatVersion: 1;
  createdAt: string;
  recipe: R;
  identity: RunIdentity;
  /** The commits of what the recipe names on the Hub; absent where it names nothing there. */
  hub?: HubPin[];
  environment: RunEnvironment;
  /** Other environments that the run was continued in, and the settings that were changed then (`isRunTime`). */
  continuedIn: { at: string; environment: RunEnvironment; settings?: Difference[] }[];
}

/** A value that differs: `training.learningRate`, what the run has, what was asked. */
export interface Difference {
  field: string;
  old: unknown;
  new: unknown;
}

/** Options of `openRun`. */
export interface OpenRunOptions<R extends AnyRecipe = Recipe> {
  /** The recipe with paths in place of names on the Hub. @default the recipe itself */
  local?: R;
  /** The commits that those names stood for. @default [] */
  hub?: HubPin[];
  /** Version of the engine, as it reports it. */
  libtorchVersion: string;
  /** Milliseconds since 1970. @default Date.now */
  clock?: () => number;
}

/** An open run: its paths, its ledger, its lock. Close it, or let `using` do so. */
export class Run<R extends AnyRecipe = Recipe> {
  readonly path: string;
  readonly recipe: R;
  readonly config: RunConfig<R>;
  /** False when this call created it. */
  readonly resumed: boolean;
  /** What changed in the machine, the versions or run-time settings since the run was last open, to be shown. */
  readonly environmentChanges: readonly Difference[];
  /** The recipe with paths in place of names on the Hub. */
  readonly local: R;
  readonly ledger: Ledger;
  readonly #lock: Lock;

  /** Use `openRun`. */
  constructor(parts: {
    config: RunConfig<R>;
    local: R;
    resumed: boolean;
    changes: Difference[];
    ledger: Ledger;
    lock: Lock;
  }) {
    this.config = parts.config;
    this.recipe = parts.config.recipe;
    this.local = parts.local;
    this.path = this.recipe.output;
    this.resumed = parts.resumed;
    this.environmentChanges = parts.changes;
    this.ledger = parts.ledger;
    this.#lock = parts.lock;
  }

  /** Folder of an iteration; a warm start is iteration 0. */
  iterationPath(iteration: number): string {
    return join(this.path, `iteration-${iteration}`);
  }

  /** Where the model of an iteration lies when it is finished, in Hugging Face layout. */
  modelPath(iteration: number): string {
    return join(this.iterationPath(iteration), 'model');
  }

  /** Where the reward model of an iteration lies, where the recipe learns one. */
  rewardModelPath(iteration: number): string {
    return join(this.iterationPath(iteration), 'reward-model');
  }

  /** Folder of the training checkpoints of an iteration. */
  checkpointsPath(iteration: number): string {
    return join(this.iterationPath(iteration), 'checkpoints');
  }

  get reportPath(): string {
    return join(this.path, 'report.html');
  }

  /** Closes the ledger and gives the lock back; a second call does nothing. */
  close(): void {
    this.ledger.close();
    this.#lock.release();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Creates the run directory of a recipe, or goes on with the run that is there. A run of another recipe, model or data is
 * refused and left untouched. Throws RunError (RUN_DIFFERS, RUN_LOCKED, RUN_FOREIGN, FORMAT_NEWER ...) or FileError.
 */
export function openRun<R extends AnyRecipe>(
  recipe: R,
  { libtorchVersion, local = recipe, hub = [], clock = Date.now }: OpenRunOptions<R>,
): Run<R> {
  const path = recipe.output;
  const identity = runIdentity(local);
  const environment = runEnvironment(libtorchVersion);
  // Compared before anything is written, and again under the lock: another process may create the run in between.
  refuseDifferent(readRunConfig(path), { recipe, identity });
  refuseForeign(path);
  makeFolder(path, { action: 'create run directory' });
  const lock = acquireLock(join(path, 'run.lock'));
  try {
    const existing = readRunConfig<R>(path);
    refuseDifferent(existing, { recipe, identity });
    const now = new Date(clock()).toISOString();
    const pins = hub.length === 0 ? {} : { hub };
    const made = { formatVersion: 1 as const, createdAt: now, recipe, identity, ...pins, environment, continuedIn: [] };
    const config: RunConfig<R> = existing ?? made;
    const last = config.continuedIn.at(-1)?.environment ?? config.environment;
    const settings = differences(config.recipe, recipe);
    const changes = [...differences(last, environment), ...settings];
    if (changes.length > 0) {
      config.continuedIn.push({ at: now, environment, ...(settings.length > 0 ? { settings } : {}) });
      config.recipe = recipe;
    }
    const ledger = openLedger(join(path, 'run.db'), { clock });
    // Last, so that a directory with a config always has its ledger.
    if (existing === null || changes.length > 0) writeConfig(path, config);
    return new Run({ config, local, resumed: existing !== null, changes, ledger, lock });
  } catch (error) {
    lock.release();
    throw error;
  }
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
  const { formatVersion, recipe, identity, environment, continuedIn } = record(value);
  if (typeof formatVersion === 'number' && formatVersion > RUN_FORMAT_VERSION) {
    throw new RunError(
      'FORMAT_NEWER',
      `Cannot open run "${path}": it has format version ${formatVersion}, this program knows ${RUN_FORMAT_VERSION}: update selm`,
      { details: { path, formatVersion } },
    );
  }
  const whole = [recipe, identity, environment].every((part) => Object.keys(record(part)).length > 0);
  if (formatVersion !== RUN_FORMAT_VERSION || !whole || !Array.isArray(continuedIn)) throw damaged(file);
  // Written by `writeConfig` under this format version; the fields that matter are compared one by one.
  return value as RunConfig<R>;
}

/** Says that a run goes on, and what changed around it. */
export function tellResumed(
  { resumed, path, environmentChanges }: Pick<Run, 'resumed' | 'path' | 'environmentChanges'>,
  announce: Announce,
): void {
  if (resumed) announce({ kind: 'note', text: `Going on with the run in ${path}` });
  for (const { field, old, new: now } of environmentChanges) {
    const [before, after] = [JSON.stringify(old), JSON.stringify(now)];
    announce({ kind: 'warning', text: `${field} was ${before} when this run was last open, now it is ${after}` });
  }
}

/** Fields in which two values differ, by their path; lists are compared as wholes. */
export function differences(before: unknown, after: unknown, prefix = ''): Difference[] {
  if (!isRecord(before) || !isRecord(after)) {
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ field: prefix, old: before, new: after }];
  }
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return keys.flatMap((key) => differences(before[key], after[key], prefix === '' ? key : `${prefix}.${key}`));
}

function refuseDifferent(
  existing: RunConfig<AnyRecipe> | null,
  asked: { recipe: AnyRecipe; identity: RunIdentity },
): void {
  if (existing === null) return;
  const path = asked.recipe.output;
  const changed = differences(existing.recipe, asked.recipe).filter(({ field }) => !isRunTime(field, asked.recipe));
  const inputs = differences(existing.identity, asked.identity);
  if (changed.length + inputs.length === 0) return;
  const lines = [
    ...changed.map(({ field, old, new: value }) => `  ${field}: ${show(old)} -> ${show(value)}`),
    ...inputs.map(({ field }) => `  ${describeInput(field, asked.recipe)}: the content changed`),
  ];
  throw new RunError(
    'RUN_DIFFERS',
    `Cannot go on with run "${path}": it was started with other settings:\n${[...new Set(lines)].join('\n')}\n` +
      'Use another name or output for a new run, set the old values back, or delete the directory',
    { details: { path, differences: [...changed, ...inputs] } },
  );
}

/** Whether a setting may change on a run in progress, as its field says; a path may where the content is the same. */
function isRunTime(field: string, recipe: AnyRecipe): boolean {
  const schema = 'ranker' in recipe ? recipeSchema : sftRecipeSchema;
  // The fine-tuning inside a run is a run of its own, which says what of it may change.
  if (field.startsWith('sft.')) return true;
  const found = fieldAt(schema, field, recipe);
  return found !== null && (found.change === 'free' || found.change === 'warn' || found.comparedByContent);
}

function describeInput(field: string, recipe: AnyRecipe): string {
  if (field === 'model') return `model ${recipe.model}`;
  if (field === 'data') return `data.train ${recipe.data.train.join(', ')}`;
  if (!('ranker' in recipe)) return field;
  return field.startsWith('ranker')
    ? `ranker ${[...allRankerFiles(recipe), rankerModel(recipe.ranker) ?? []].flat().join(', ')}`
    : `evaluate.prompts ${recipe.evaluate.prompts}`;
}

/**
 * A folder with something in it and no config is not ours; what a stopped creation leaves (lock, ledger) and a
 * fine-tuning before it is.
 */
function refuseForeign(path: string): void {
  if (existsSync(join(path, 'config.yaml'))) return;
  let names: string[];
  try {
    names = readdirSync(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw fileError(error, { action: 'open run directory', path });
  }
  const foreign = names.find((name) => !/^(run\.(lock|db)|\.config\.yaml\.tmp|sft$)/.test(name));
  if (foreign === undefined) return;
  throw new RunError(
    'RUN_FOREIGN',
    `Cannot create run "${path}": the folder has "${foreign}" and no config.yaml, so it is no run: choose another name or output`,
    { details: { path, found: foreign } },
  );
}

function writeConfig(path: string, config: RunConfig<AnyRecipe>): void {
  const head =
    '# Written by selm when the run was created: what it is, resolved. To change a setting, start a new run.\n';
  writeFileAtomic(join(path, 'config.yaml'), head + stringify(config, { lineWidth: 0, aliasDuplicateObjects: false }));
}

function show(value: unknown): string {
  return value === undefined ? '(none)' : JSON.stringify(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function record(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function damaged(file: string, cause?: unknown): RunError {
  return new RunError(
    'RUN_DAMAGED',
    `Cannot read "${file}": it is not the configuration of a run: restore it, or start a new run`,
    {
      cause,
      details: { file },
    },
  );
}
