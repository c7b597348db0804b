/** @file The hash that names a model's weights in the ledger: who sampled, and whose log-probabilities these are. */
import { createHash } from 'node:crypto';
import { relative } from 'node:path';
import { sha256File } from '../files/hash.ts';
import { safetensorsIndex } from '../files/safetensors-index.ts';

const known = new Map<string, Promise<string>>();

/** sha256 over the weight files of a model directory (names and contents). Computed once a process. */
export function modelSha256(directory: string): Promise<string> {
  const found = known.get(directory) ?? hashWeights(directory);
  known.set(directory, found);
  return found;
}

async function hashWeights(directory: string): Promise<string> {
  const hash = createHash('sha256');
  for (const { path } of safetensorsIndex(directory).files) {
    hash.update(`${relative(directory, path)}\n${await sha256File(path)}\n`);
  }
  return hash.digest('hex');
}
