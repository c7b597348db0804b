/**
 * @file The hash that names a model's weights in the ledger: who sampled, and whose log-probabilities these are. An
 * adapter's covers its base, its factors and their scale.
 */
import { createHash } from 'node:crypto';
import { join, relative } from 'node:path';
import { knownSha256 } from '../files/known-hashes.ts';
import { safetensorsIndex } from '../files/safetensors-index.ts';
import { ADAPTER_WEIGHTS, baseDirectory, isAdapterDirectory } from '../model/adapter/adapter.ts';
import { readAdapterConfig } from '../model/adapter/adapter-config.ts';
import { loraScale } from '../model/adapter/lora.ts';

/**
 * sha256 over the weight files of a model or adapter directory (names and contents). Each file is read once a process, as
 * long as it stays what it is: another run may come to lie in the same place.
 */
export async function modelSha256(directory: string): Promise<string> {
  if (isAdapterDirectory(directory)) return hashAdapter(directory);
  const hash = createHash('sha256');
  for (const { path } of safetensorsIndex(directory).files)
    hash.update(`${relative(directory, path)}\n${await knownSha256(path)}\n`);
  return hash.digest('hex');
}

/** An adapter's files are small beside its base, whose hash is kept. */
async function hashAdapter(directory: string): Promise<string> {
  const weights = join(directory, ADAPTER_WEIGHTS);
  const scale = loraScale(readAdapterConfig(directory));
  const base = await modelSha256(baseDirectory(directory));
  return createHash('sha256')
    .update(`${base}\n${await knownSha256(weights)}\n${scale}\n`)
    .digest('hex');
}
