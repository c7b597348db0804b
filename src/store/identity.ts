/**
 * @file What a run is made of besides its recipe: fingerprints of the base model and the data, so that a run never goes
 * on with files that changed under it, and the environment it ran in, so that a result can be traced.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { digestFileSync, type FileDigest } from '../files/hash.ts';
import { modelFingerprint } from '../model/fingerprint.ts';
import { sampledFingerprint } from '../model/sampled-fingerprint.ts';
import { rankerModel } from '../rank/open.ts';
import type { Source } from '../rank/ranker.ts';
import type { Change } from '../recipe/fields.ts';
import type { Recipe } from '../recipe/schema.ts';
import { secondRankerOf } from '../recipe/second-ranker.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import type { Difference } from './differences.ts';

/** Fingerprints of the inputs of a run: of contents, wherever they lie. */
export interface RunIdentity {
  /** Of the model's weights, settings and tokenizer. */
  model: string;
  /** Of each data file, by the order of the recipe. */
  data: FileDigest[];
  /** What the ranker is made of beside its settings, and the second one. */
  ranker: readonly Source[];
  secondRanker: readonly Source[];
  evaluate: FileDigest | null;
}

/** What the open rankers of a run are made of. */
export type RankerSources = Pick<RunIdentity, 'ranker' | 'secondRanker'>;

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

/** Fingerprints of everything that a recipe names; a ranker finds out itself what it is made of. ModelError or FileError. */
export function runIdentity(recipe: Recipe | SftRecipe, rankers: RankerSources): RunIdentity {
  const { model, data } = recipe;
  const prompts = 'ranker' in recipe ? recipe.evaluate.prompts : null;
  return {
    model: modelFingerprint(model),
    data: data.train.map((path) => digestFileSync(path)),
    ranker: rankers.ranker,
    secondRanker: rankers.secondRanker,
    evaluate: prompts === null ? null : digestFileSync(prompts),
  };
}

/** Before the fingerprint of a model as runs up to format version 3 made it (sampled-fingerprint.ts). */
export const SAMPLED = 'sampled:';

/**
 * An identity as it was kept, for comparison with today's: what an earlier version kept less of is replaced by what this one
 * makes of the same files, as far as they are the same. Of a ranker, it kept the module alone.
 */
export function comparable(kept: RunIdentity, now: RunIdentity, recipe: Recipe | SftRecipe): RunIdentity {
  if (!kept.model.startsWith(SAMPLED)) return kept;
  const isSampled = (fingerprint: string, folder: string | null): boolean =>
    folder !== null && fingerprint === SAMPLED + sampledFingerprint(folder);
  const model = isSampled(kept.model, recipe.model) ? now.model : kept.model;
  if (!('ranker' in recipe)) return { ...kept, model };
  const folders = [recipe.ranker, secondRankerOf(recipe)].map((each) => (each ? rankerModel(each) : null));
  const known = new Set([...now.ranker, ...now.secondRanker].map((source) => source.sha256));
  const isSame = kept.ranker.every(
    ({ sha256 }) => known.has(sha256) || folders.some((folder) => isSampled(sha256, folder)),
  );
  return { ...kept, model, ...(isSame ? { ranker: now.ranker, secondRanker: now.secondRanker } : {}) };
}

/** An input whose content is not what it was; `content` names it for people. */
export interface InputDifference extends Difference {
  content: string;
  /** What that means for a run in progress. */
  change: Change;
}

/** Inputs that differ, with the fields of the recipe that name them. */
export function inputDifferences(kept: RunIdentity, now: RunIdentity, recipe: Recipe | SftRecipe): InputDifference[] {
  const old = comparable(kept, now, recipe);
  const named = (content: string, change: Change): Pick<InputDifference, 'content' | 'change'> => ({ content, change });
  const inputs = {
    model: { field: 'model', ...named(recipe.model, 'never') },
    data: { field: 'data.train', ...named(recipe.data.train.join(', '), 'never') },
    ranker: { field: 'ranker', ...named(changedSources(old.ranker, now.ranker), 'rank') },
    secondRanker: {
      field: 'select' in recipe && recipe.select?.otherwise ? 'select.otherwise' : 'secondOpinion.ranker',
      ...named(changedSources(old.secondRanker, now.secondRanker), 'rank'),
    },
    evaluate: {
      field: 'evaluate.prompts',
      ...named('ranker' in recipe ? String(recipe.evaluate.prompts) : '', 'measure'),
    },
  } as const;
  const names = ['model', 'data', 'ranker', 'secondRanker', 'evaluate'] as const;
  return names.flatMap((name) =>
    isDeepStrictEqual(old[name], now[name]) ? [] : [{ ...inputs[name], old: old[name], new: now[name] }],
  );
}

/** Names of the sources of a ranker that are new, gone or not what they were. */
function changedSources(old: readonly Source[], now: readonly Source[]): string {
  const keysOf = (sources: readonly Source[]): Set<string> =>
    new Set(sources.map((each) => `${each.name} ${each.sha256}`));
  const [before, after] = [keysOf(old), keysOf(now)];
  const changed = [
    ...old.filter((each) => !after.has(`${each.name} ${each.sha256}`)),
    ...now.filter((each) => !before.has(`${each.name} ${each.sha256}`)),
  ];
  return [...new Set(changed.map(({ name }) => name))].join(', ');
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
