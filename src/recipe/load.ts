/**
 * @file Reads a recipe: YAML and `--set` overrides in, a resolved Recipe out, or one RecipeError that lists every problem
 * (explain.ts).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { RecipeError } from '../errors.ts';
import { errorCode, fileError } from '../files/fs.ts';
import { isHubName } from '../hub/name.ts';
import { checkRecipe, checkSftRecipe } from './checks.ts';
import { checkSource, type RecipeForm } from './explain.ts';
import { rankerSchema } from './rankers.ts';
import { type ParsedRecipe, type RankerSettings, type Recipe, recipeSchema } from './schema.ts';
import { withRankers } from './second-ranker.ts';
import { type ParsedSftRecipe, type SftRecipe, sftRecipeSchema } from './sft.ts';
import { override, parseSource } from './source.ts';

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

/** Recipes of `selm train`, and of `selm sft`. */
const TRAIN_FORM: RecipeForm<ParsedRecipe> = { schema: recipeSchema, crossChecks: checkRecipe };
const SFT_FORM: RecipeForm<ParsedSftRecipe> = { schema: sftRecipeSchema, crossChecks: checkSftRecipe };
/** A ranker without a recipe around it. */
const RANKER_FORM = { schema: z.strictObject({ ranker: rankerSchema }), crossChecks: () => [] };

/** Reads, checks and resolves a recipe file. Throws RecipeError or FileError. */
export function loadRecipe(path: string, options: LoadOptions = {}): Recipe {
  return resolveRecipe(...readForm(path, TRAIN_FORM, options));
}

/** As loadRecipe, for the recipe of a supervised fine-tuning. */
export function loadSftRecipe(path: string, options: LoadOptions = {}): SftRecipe {
  return resolveSftRecipe(...readForm(path, SFT_FORM, options));
}

/** Checks and resolves a recipe that is already a value (from code or JSON). Throws RecipeError. */
export function parseRecipe(
  value: unknown,
  { directory, workingDirectory = process.cwd() }: ParseOptions = {},
): Recipe {
  const parsed = checkSource({ value, origin: () => null }, TRAIN_FORM, { what: 'this recipe', file: null });
  return resolveRecipe(parsed, { folderOf: () => directory ?? workingDirectory, workingDirectory });
}

/** As parseRecipe, for the recipe of a supervised fine-tuning. */
export function parseSftRecipe(
  value: unknown,
  { directory, workingDirectory = process.cwd() }: ParseOptions = {},
): SftRecipe {
  const parsed = checkSource({ value, origin: () => null }, SFT_FORM, { what: 'this recipe', file: null });
  return resolveSftRecipe(parsed, { folderOf: () => directory ?? workingDirectory, workingDirectory });
}

/**
 * A resolved recipe that was kept, made whole: settings that came after it take their defaults. One that does not fit the
 * schema of today is given back as it is.
 */
export function completeRecipe(kept: Recipe): Recipe {
  const sft = kept.sft ?? null; // absent in recipes from before the section existed
  const section =
    sft === null ? null : { objective: sft.objective, data: sft.data, text: sft.text, training: sft.training };
  const parsed = recipeSchema.safeParse({ ...kept, sft: section });
  if (!parsed.success) return kept;
  // The fine-tuning starts from the model as it was written, the rest of the run from what came out of it.
  return { ...resolveRecipe(parsed.data, ABSOLUTE), sft: sft === null ? null : completeSftRecipe(sft) };
}

/** As completeRecipe, for the recipe of a supervised fine-tuning. */
export function completeSftRecipe(kept: SftRecipe): SftRecipe {
  const parsed = sftRecipeSchema.safeParse(kept);
  return parsed.success ? resolveSftRecipe(parsed.data, ABSOLUTE) : kept;
}

/** Of a recipe whose paths are absolute already. */
const ABSOLUTE: Folders = { folderOf: () => '/', workingDirectory: '/' };

/** What paths of a recipe are relative to: the file, or where the command was started for what it overrides. */
export interface Folders {
  folderOf: (field: string) => string;
  workingDirectory: string;
}

/** Reads a file and checks it against its form; beside it, what paths in it are relative to. RecipeError or FileError. */
export function readForm<Parsed>(
  path: string,
  form: RecipeForm<Parsed>,
  { overrides = [], workingDirectory = process.cwd() }: LoadOptions,
): [Parsed, Folders] {
  let text: string;
  try {
    text = readFileSync(resolve(workingDirectory, path), 'utf8');
  } catch (error) {
    if (errorCode(error) === 'EISDIR') throw isFolder(path, resolve(workingDirectory, path));
    throw fileError(error, { action: 'read recipe', path });
  }
  const source = override(parseSource(text, path), overrides);
  const directory = dirname(resolve(workingDirectory, path));
  const folderOf = (field: string): string =>
    source.origin(field.split('.'))?.kind === 'override' ? workingDirectory : directory;
  const what = `${form.noun ?? 'recipe'} "${path}"`;
  return [checkSource(source, form, { what, file: path }), { folderOf, workingDirectory }];
}

function isFolder(path: string, folder: string): RecipeError {
  const found = readdirSync(folder).filter((name) => /\.ya?ml$/.test(name));
  const fix = found.length === 0 ? 'give a YAML file' : `give a file in it: ${found.sort().slice(0, 5).join(', ')}`;
  return new RecipeError('RECIPE_FOLDER', `Cannot read recipe "${path}": it is a folder: ${fix}`, {
    details: { path },
  });
}

/** Name, place and model of any run, absolute. */
function resolveRun(
  { name, output, model }: Pick<ParsedSftRecipe, 'name' | 'output' | 'model'>,
  { folderOf, workingDirectory }: Folders,
): { output: string; model: string } {
  return {
    output: resolve(workingDirectory, output ?? join('runs', name)),
    model: placeFrom(folderOf('model'), model),
  };
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
  const { ranker } = checkSource(source, RANKER_FORM, { what: 'this ranker', file: null });
  return resolveRanker(ranker, (_, path) => placeFrom(workingDirectory, path));
}

/** A path, absolute; a name on the Hub stays as it is. */
function placeFrom(folder: string, place: string): string {
  return isHubName(place) ? place : resolve(folder, place);
}

function resolveFiles(files: string | string[], folder: string): string[] {
  return (Array.isArray(files) ? files : [files]).map((file) => placeFrom(folder, file));
}

function resolveSftRecipe(parsed: ParsedSftRecipe, folders: Folders): SftRecipe {
  const { data } = parsed;
  const train = resolveFiles(data.train, folders.folderOf('data.train'));
  return { ...parsed, ...resolveRun(parsed, folders), data: { ...data, train } };
}

/** The section `sft` as a recipe of its own: it starts from the model of the whole, in a folder of its own inside the run. */
function resolveSftSection(
  section: ParsedRecipe['sft'],
  run: Pick<Recipe, 'name' | 'output' | 'seed' | 'model' | 'device' | 'threads' | 'track'>,
  { folderOf }: Folders,
): SftRecipe | null {
  if (section === null) return null;
  const { name, output, seed, model, device, threads, track } = run;
  const train = resolveFiles(section.data.train, folderOf('sft.data.train'));
  return {
    name: `${name}-sft`.slice(0, 64),
    output: join(output, 'sft'),
    seed,
    model,
    device,
    threads,
    track,
    ...section,
    data: { ...section.data, train },
  };
}

function resolveRecipe(parsed: ParsedRecipe, folders: Folders): Recipe {
  const from = (field: string, path: string) => placeFrom(folders.folderOf(field), path);
  const { data, slices, evaluate, iterations, warmStart } = parsed;
  const run = resolveRun(parsed, folders);
  const resolved = withRankers(parsed, (ranker, field) =>
    resolveRanker(ranker, (key, path) => from(`${field}.${key}`, path)),
  );
  return {
    ...resolved,
    ...run,
    sft: resolveSftSection(parsed.sft, { ...parsed, ...run }, folders),
    data: { ...data, train: resolveFiles(data.train, folders.folderOf('data.train')) },
    slices: { ...slices, count: slices.count ?? iterations + (warmStart === 'dpo' ? 1 : 0) },
    evaluate: {
      ...evaluate,
      prompts: evaluate.prompts === null ? null : from('evaluate.prompts', evaluate.prompts),
      benchmarks: evaluate.benchmarks && {
        ...evaluate.benchmarks,
        data: evaluate.benchmarks.data && from('evaluate.benchmarks.data', evaluate.benchmarks.data),
      },
      alpaca: evaluate.alpaca && {
        ...evaluate.alpaca,
        reference: evaluate.alpaca.reference && from('evaluate.alpaca.reference', evaluate.alpaca.reference),
        data: evaluate.alpaca.data && from('evaluate.alpaca.data', evaluate.alpaca.data),
      },
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
    case 'command':
      return { ...ranker, folder: from('folder', ranker.folder) };
    case 'pairrm':
    case 'reward-model':
      return { ...ranker, model: from('model', ranker.model) };
    case 'judge': {
      const { ask } = ranker;
      return { ...ranker, ask: { ...ask, prompt: ask.prompt === null ? null : from('ask.prompt', ask.prompt) } };
    }
    case 'people': {
      const { gold } = ranker;
      return { ...ranker, gold: gold && { ...gold, file: from('gold.file', gold.file) } };
    }
  }
}
