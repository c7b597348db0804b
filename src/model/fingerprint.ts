/** @file What tells one model folder from another, wherever it lies: part of a run's identity and of a ranker's name. */
import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileError } from '../files/fs.ts';
import { digestFileSync, sha256 } from '../files/hash.ts';
import { knownSha256, knownSha256Sync } from '../files/known-hashes.ts';
import { checkModelFolder } from '../files/model-folder.ts';
import { safetensorsIndex } from '../files/safetensors-index.ts';
import { ADAPTER_WEIGHTS, baseDirectory, isAdapterDirectory } from './adapter/adapter.ts';

/**
 * SHA-256 over the weights, settings, tokenizer and templates of a model folder; of an adapter's folder, its base's too.
 * Weights are read once a process (`readWeights` does it beside other work). Throws ModelError or FileError.
 */
export function modelFingerprint(directory: string): string {
  const base = isAdapterDirectory(directory) ? [modelFingerprint(baseDirectory(directory))] : [];
  const weights = weightPaths(directory).map((path) => `${relative(directory, path)}\n${knownSha256Sync(path)}`);
  const settings = settingsFiles(directory).map((name) => `${name}\n${digestFileSync(join(directory, name)).sha256}`);
  return sha256([...base, ...weights, ...settings].join('\n'));
}

/** Reads the weights of a model folder, while other work runs, so that `modelFingerprint` finds them known. */
export async function readWeights(directory: string): Promise<void> {
  checkModelFolder(directory);
  if (isAdapterDirectory(directory)) await readWeights(baseDirectory(directory));
  for (const path of weightPaths(directory)) await knownSha256(path);
}

function weightPaths(directory: string): string[] {
  if (isAdapterDirectory(directory)) return [join(directory, ADAPTER_WEIGHTS)];
  return safetensorsIndex(directory).files.map(({ path }) => path);
}

/** A manifest and a read-me are about the model, and no part of it. */
function settingsFiles(directory: string): string[] {
  try {
    const names = readdirSync(directory).filter((name) => /\.(json|jinja|model|txt)$/.test(name));
    return names.filter((name) => name !== 'manifest.json' && statSync(join(directory, name)).isFile()).sort();
  } catch (error) {
    throw fileError(error, { action: 'read model', path: directory });
  }
}
