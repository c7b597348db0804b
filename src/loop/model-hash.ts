/**
 * @file The hash that names a model's weights in the ledger: who sampled, and whose log-probabilities these are. An
 * adapter's covers its base, its factors and their scale.
 */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { sha256File } from '../files/hash.ts';
import { safetensorsIndex } from '../files/safetensors-index.ts';
import { ADAPTER_WEIGHTS, baseDirectory, isAdapterDirectory } from '../model/adapter/adapter.ts';
import { readAdapterConfig } from '../model/adapter/adapter-config.ts';
import { loraScale } from '../model/adapter/lora.ts';

const known = new Map<string, Promise<string>>();

/**
 * sha256 over the weight files of a model or adapter directory (names and contents). Computed once a process, as long as
 * the files stay what they are (size, time, inode): another run may come to lie in the same place.
 */
export function modelSha256(directory: string): Promise<string> {
  if (isAdapterDirectory(directory)) return hashAdapter(directory);
  const paths = safetensorsIndex(directory).files.map(({ path }) => path);
  const key = paths.map(fileState).join('\n');
  const found = known.get(key) ?? hashWeights(directory, paths);
  known.set(key, found);
  return found;
}

function fileState(path: string): string {
  const { ino, size, mtimeNs } = statSync(path, { bigint: true });
  return `${path}\n${ino} ${size} ${mtimeNs}`;
}

async function hashWeights(directory: string, paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of paths) hash.update(`${relative(directory, path)}\n${await sha256File(path)}\n`);
  return hash.digest('hex');
}

/** An adapter's files are small beside its base, whose hash is kept. */
async function hashAdapter(directory: string): Promise<string> {
  const weights = join(directory, ADAPTER_WEIGHTS);
  const scale = loraScale(readAdapterConfig(directory));
  const base = await modelSha256(baseDirectory(directory));
  return createHash('sha256')
    .update(`${base}\n${await sha256File(weights)}\n${scale}\n`)
    .digest('hex');
}
