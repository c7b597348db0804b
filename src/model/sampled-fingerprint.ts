/**
 * @file The fingerprint of a model folder in runs up to format version 3 of config.yaml. It samples blocks of the
 * weights, so it notices a model of another training but may miss a change of one layer. Runs of that time are still
 * compared by it.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileError } from '../files/fs.ts';
import { digestFileSync } from '../files/hash.ts';
import { readSafetensorsHeader } from '../files/safetensors.ts';
import { safetensorsIndex } from '../files/safetensors-index.ts';
import { ADAPTER_WEIGHTS, baseDirectory, isAdapterDirectory } from './adapter/adapter.ts';

// Enough blocks that retrained weights of the same shape cannot look the same, few enough to read in milliseconds.
const SAMPLED_BLOCKS = 64;
const BLOCK_BYTES = 4096;

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
    for (const { path, dataOffset } of files) {
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
