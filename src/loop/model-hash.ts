/**
 * @file The hash that names a model's weights in the ledger: who sampled, and whose log-probabilities these are. An
 * adapter's covers its base, its factors and their scale.
 */
import { createHash } from 'node:crypto';
import { join, relative } from 'node:path';
import { sha256File } from '../files/hash.ts';
import { safetensorsIndex } from '../files/safetensors-index.ts';
import { ADAPTER_WEIGHTS, baseDirectory, isAdapterDirectory } from '../model/adapter.ts';
import { readAdapterConfig } from '../model/adapter-config.ts';
import { loraScale } from '../model/lora.ts';

const known = new Map<string, Promise<string>>();

/** sha256 over the weight files of a model or adapter directory (names and contents). Computed once a process. */
export function modelSha256(directory: string): Promise<string> {
  const found = known.get(directory) ?? hashWeights(directory);
  known.set(directory, found);
  return found;
}

async function hashWeights(directory: string): Promise<string> {
  const hash = createHash('sha256');
  if (isAdapterDirectory(directory)) {
    const weights = join(directory, ADAPTER_WEIGHTS);
    const scale = loraScale(readAdapterConfig(directory));
    hash.update(`${await modelSha256(baseDirectory(directory))}\n${await sha256File(weights)}\n${scale}\n`);
    return hash.digest('hex');
  }
  for (const { path } of safetensorsIndex(directory).files) {
    hash.update(`${relative(directory, path)}\n${await sha256File(path)}\n`);
  }
  return hash.digest('hex');
}
