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
import type { Recipe } from '../recipe/schema.ts';
import type { SftRecipe } from '../recipe/sft.ts';

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

function sourcesOf({ model, data }: Recipe | SftRecipe): Pick<RunIdentity, 'model' | 'data'> {
  return { model: modelFingerprint(model), data: data.train.map((path) => digestFileSync(path)) };
}

/** The environment of this process. */
export function runEnvironment(libtorch: string): RunEnvironment {
  return {
    selm: packageVersion(),
    commit: sourceCommit(),
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
