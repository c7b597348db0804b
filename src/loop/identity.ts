/**
 * @file What a run is made of besides its recipe: fingerprints of the base model and the data, so that a run never goes
 * on with files that changed under it, and the environment it ran in, so that a result can be traced.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fileError } from '../files/fs.ts';
import { digestFileSync, type FileDigest } from '../files/hash.ts';
import { safetensorsIndex } from '../files/safetensors-index.ts';
import { rankerFiles } from '../rank/open.ts';
import type { Recipe } from '../recipe/schema.ts';

/** Fingerprints of the inputs of a run. */
export interface RunIdentity {
  /** Of the model folder's settings, tokenizer, weight headers, sizes and samples of its weights. */
  model: string;
  /** Of each data file (training rows, evaluation prompts, ranker module), by the order of the recipe. */
  data: FileDigest[];
  ranker: FileDigest[];
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
export function runIdentity(recipe: Recipe): RunIdentity {
  return {
    model: modelFingerprint(recipe.model),
    data: recipe.data.train.map((path) => digestFileSync(path)),
    ranker: rankerFiles(recipe.ranker).map((path) => digestFileSync(path)),
    evaluate: recipe.evaluate.prompts === null ? null : digestFileSync(recipe.evaluate.prompts),
  };
}

// Enough blocks that retrained weights of the same shape cannot look the same, few enough to read in milliseconds.
const SAMPLED_BLOCKS = 64;
const BLOCK_BYTES = 4096;

/**
 * SHA-256 of a model folder without reading all of it: small files whole, weight files by header, size and evenly spaced
 * blocks. Tells models apart that differ in more than a few weights; it is no proof against tampering.
 */
export function modelFingerprint(directory: string): string {
  const index = safetensorsIndex(directory);
  const hash = createHash('sha256');
  const small = readdirSync(directory).filter(
    (name) => /\.(json|jinja|model|txt)$/.test(name) && name !== 'manifest.json',
  );
  try {
    for (const name of small.sort()) {
      if (statSync(join(directory, name)).isFile())
        hash.update(`${name}\0${digestFileSync(join(directory, name)).sha256}\0`);
    }
    for (const { path, dataOffset } of index.files) {
      const { size } = statSync(path);
      hash.update(`${size}\0${dataOffset}\0`);
      const stride = Math.max(BLOCK_BYTES, Math.floor((size - dataOffset) / SAMPLED_BLOCKS));
      const fd = openSync(path, 'r');
      try {
        hash.update(readBlock(fd, 0, dataOffset));
        for (let at = dataOffset; at < size; at += stride) hash.update(readBlock(fd, at, BLOCK_BYTES));
        hash.update(readBlock(fd, Math.max(dataOffset, size - BLOCK_BYTES), BLOCK_BYTES));
      } finally {
        closeSync(fd);
      }
    }
  } catch (error) {
    throw fileError(error, { action: 'read model', path: directory });
  }
  return hash.digest('hex');
}

function readBlock(fd: number, position: number, length: number): Buffer {
  const block = Buffer.alloc(length);
  return block.subarray(0, readSync(fd, block, 0, length, position));
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
