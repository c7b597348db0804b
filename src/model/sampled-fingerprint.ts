/**
 * @file The fingerprint of a model folder in runs up to format version 3 of config.yaml. It samples blocks of the
 * weights, so it notices a model of another training but may miss a change of one layer. Runs of that time are still
 * compared by it.
 */
import { createHash } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileError } from '../files/fs.ts';
import { digestFileSync } from '../files/hash.ts';
import { readSafetensorsHeader } from '../files/safetensors.ts';
import { safetensorsIndex } from '../files/safetensors-index.ts';
import { sampleFile } from '../files/sampled-file.ts';
import { ADAPTER_WEIGHTS, baseDirectory, isAdapterDirectory } from './adapter/adapter.ts';

/** SHA-256 of a model folder (with an adapter's, of its base): small files whole, weight files by header, size and blocks. */
export function sampledFingerprint(directory: string): string {
  const isAdapter = isAdapterDirectory(directory);
  const files = isAdapter
    ? [readSafetensorsHeader(join(directory, ADAPTER_WEIGHTS))]
    : safetensorsIndex(directory).files;
  const hash = createHash('sha256');
  if (isAdapter) hash.update(sampledFingerprint(baseDirectory(directory)));
  const small = readdirSync(directory).filter(
    (name) => /\.(json|jinja|model|txt)$/.test(name) && name !== 'manifest.json',
  );
  try {
    for (const name of small.sort()) {
      if (statSync(join(directory, name)).isFile())
        hash.update(`${name}\0${digestFileSync(join(directory, name)).sha256}\0`);
    }
    for (const { path, dataOffset } of files) sampleFile(hash, path, { head: dataOffset });
  } catch (error) {
    throw fileError(error, { action: 'read model', path: directory });
  }
  return hash.digest('hex');
}
