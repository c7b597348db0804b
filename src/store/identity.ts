/**
 * @file What a run is made of besides its recipe: fingerprints of the base model and the data, so that a run never goes
 * on with files that changed under it, and the environment it ran in, so that a result can be traced.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { digestFileSync, type FileDigest } from '../files/hash.ts';
import { modelFingerprint } from '../model/fingerprint.ts';
import { rankerFiles, rankerModel } from '../rank/open.ts';
import type { Change } from '../recipe/fields.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import { type Difference, differences } from './differences.ts';

/** Fingerprints of the inputs of a run. */
export interface RunIdentity {
  /** Of the model folder's settings, tokenizer, weight headers, sizes and samples of its weights. */
  model: string;
  /** Of each data file (training rows, evaluation prompts, ranker module), by the order of the recipe. */
  data: FileDigest[];
  ranker: FileDigest[];
  /** Fingerprint of the ranker's model folder; absent for a ranker without one. */
  rankerModel?: string;
  secondRankerModel?: string;
  evaluate: FileDigest | null;
}

/** Where and with what a run was made. Recorded; a change is reported, never refused. */
export interface RunEnvironment {
  selm: string;
  /** Commit of selm's own source when it runs from a checkout. */
  commit: string | null;
  node: string;
  libtorch: string;
  platform: string;
  cpu: string;
  cores: number;
  memoryBytes: number;
}

/** Fingerprints of everything that a recipe names. Throws ModelError or FileError. */
export function runIdentity(recipe: Recipe | SftRecipe): RunIdentity {
  if (!('ranker' in recipe)) return { ...sourcesOf(recipe), ranker: [], evaluate: null };
  const folder = rankerModel(recipe.ranker);
  const secondFolder = recipe.secondOpinion === null ? null : rankerModel(recipe.secondOpinion.ranker);
  return {
    ...sourcesOf(recipe),
    ranker: allRankerFiles(recipe).map((path) => digestFileSync(path)),
    ...(folder === null ? {} : { rankerModel: modelFingerprint(folder) }),
    ...(secondFolder === null ? {} : { secondRankerModel: modelFingerprint(secondFolder) }),
    evaluate: recipe.evaluate.prompts === null ? null : digestFileSync(recipe.evaluate.prompts),
  };
}

/** Files of both rankers of a recipe. */
export function allRankerFiles({ ranker, secondOpinion }: Recipe): string[] {
  return [...rankerFiles(ranker), ...(secondOpinion === null ? [] : rankerFiles(secondOpinion.ranker))];
}

/** An input whose content is not what it was; `content` names it for people. */
export interface InputDifference extends Difference {
  content: string;
  /** What that means for a run in progress. */
  change: Change;
}

/** Inputs that differ, with the fields of the recipe that name them. */
export function inputDifferences(old: RunIdentity, now: RunIdentity, recipe: Recipe | SftRecipe): InputDifference[] {
  const inputs = [...new Set(differences(old, now).map(({ field }) => field.split('.')[0] ?? field))];
  return inputs.map((input) => {
    const values = { old: asRecord(old)[input], new: asRecord(now)[input] };
    return { ...describeInput(input, recipe), ...values };
  });
}

function describeInput(
  input: string,
  recipe: Recipe | SftRecipe,
): Pick<InputDifference, 'field' | 'content' | 'change'> {
  if (input === 'model') return { field: 'model', content: recipe.model, change: 'never' };
  if (input === 'data' || !('ranker' in recipe))
    return { field: 'data.train', content: recipe.data.train.join(', '), change: 'never' };
  if (input === 'evaluate')
    return { field: 'evaluate.prompts', content: String(recipe.evaluate.prompts), change: 'measure' };
  const content = [...allRankerFiles(recipe), rankerModel(recipe.ranker) ?? []].flat().join(', ');
  return { field: 'ranker', content, change: 'rank' };
}

function asRecord(value: object): Readonly<Record<string, unknown>> {
  return { ...value };
}

function sourcesOf({ model, data }: Recipe | SftRecipe): Pick<RunIdentity, 'model' | 'data'> {
  return { model: modelFingerprint(model), data: data.train.map((path) => digestFileSync(path)) };
}

/** The environment of this process. */
export function runEnvironment(libtorch: string): RunEnvironment {
  return {
    selm: packageVersion(),
    commit: commitOfThisProcess(),
    node: process.version,
    libtorch,
    platform: `${platform()} ${release()} ${arch()}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
  };
}

const PACKAGE_ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Version of this package. */
export function packageVersion(): string {
  const { version }: { version: string } = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8'));
  return version;
}

let known: { commit: string | null } | null = null;

/** The commit, looked up once: the source of a process does not change. */
function commitOfThisProcess(): string | null {
  known ??= { commit: sourceCommit() };
  return known.commit;
}

/** Null when installed as a package, where the folder's git would be someone else's, or when git is absent. */
function sourceCommit(): string | null {
  if (!existsSync(join(PACKAGE_ROOT, '.git'))) return null;
  try {
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', PACKAGE_ROOT, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const changed = git('status', '--porcelain', '--untracked-files=no').trim() === '' ? '' : ' with changes';
    return git('rev-parse', 'HEAD').trim() + changed;
  } catch {
    return null;
  }
}
