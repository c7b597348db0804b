/**
 * @file Which file of a model directory holds which tensor: one `model.safetensors`, or shards named by
 * `model.safetensors.index.json`. Pickle files (`.bin`, `.pt`) are never read.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ModelError } from '../errors.ts';
import { errorCode } from './fs.ts';
import { nameProblem, safePath } from './safe-path.ts';
import { readSafetensorsHeader, type SafetensorsEntry, type SafetensorsFile } from './safetensors.ts';
import { type JsonValue, parseStrictJson } from './strict-json.ts';

const SINGLE_FILE = 'model.safetensors';
const INDEX_FILE = 'model.safetensors.index.json';
// The largest public models have a few hundred shards and an index below 1 MB.
const MAX_SHARDS = 10_000;
const MAX_INDEX_BYTES = 100_000_000;

/** A tensor and the file that holds it. */
export interface IndexedTensor extends SafetensorsEntry {
  file: SafetensorsFile;
}

/** All tensors of a model directory. */
export interface SafetensorsIndex {
  directory: string;
  /** In order of file name. */
  files: SafetensorsFile[];
  tensors: Map<string, IndexedTensor>;
}

/**
 * Reads the headers of all weight files of a directory. With a single file its header says all; with shards the index
 * and the headers must agree about every tensor. Throws ModelError naming the file and the field.
 */
export function safetensorsIndex(directory: string): SafetensorsIndex {
  if (isFile(join(directory, SINGLE_FILE))) {
    const file = readSafetensorsHeader(join(directory, SINGLE_FILE));
    return collect(directory, [file]);
  }
  if (!isFile(join(directory, INDEX_FILE))) throw noWeights(directory);
  const weightMap = readWeightMap(directory);
  const names = [...new Set(weightMap.values())].sort();
  if (names.length > MAX_SHARDS) {
    throw badIndex(directory, `names ${names.length} shards, at most ${MAX_SHARDS} are allowed`);
  }
  // The Hugging Face cache is made of links out of the folder: they are followed, names are still checked.
  const files = names.map((name) => readSafetensorsHeader(safePath(directory, name, { links: 'follow' })));
  const index = collect(directory, files);
  for (const [tensor, shard] of weightMap) {
    const found = index.tensors.get(tensor);
    if (found === undefined || found.file.path !== safePath(directory, shard, { links: 'follow' })) {
      throw badIndex(directory, `says that tensor ${JSON.stringify(tensor)} is in "${shard}", which does not have it`);
    }
  }
  for (const [tensor, { file }] of index.tensors) {
    if (!weightMap.has(tensor))
      throw badIndex(directory, `does not name tensor ${JSON.stringify(tensor)} of "${file.path}"`);
  }
  return index;
}

function collect(directory: string, files: SafetensorsFile[]): SafetensorsIndex {
  const tensors = new Map<string, IndexedTensor>();
  for (const file of files) {
    for (const [name, entry] of file.tensors) {
      const other = tensors.get(name);
      if (other !== undefined) {
        throw new ModelError(
          'WEIGHTS_INVALID',
          `Cannot read weights "${file.path}": tensor ${JSON.stringify(name)} is also in "${other.file.path}": keep one`,
          { details: { file: file.path, tensor: name, other: other.file.path } },
        );
      }
      tensors.set(name, { ...entry, file });
    }
  }
  return { directory, files, tensors };
}

function readWeightMap(directory: string): Map<string, string> {
  const path = join(directory, INDEX_FILE);
  if (statSync(path).size > MAX_INDEX_BYTES) throw badIndex(directory, `is larger than ${MAX_INDEX_BYTES} bytes`);
  let root: JsonValue;
  try {
    root = parseStrictJson(readFileSync(path, 'utf8'));
  } catch (error) {
    throw badIndex(directory, `cannot be read: ${(error as Error).message}`, error);
  }
  const weightMap = root instanceof Map ? root.get('weight_map') : undefined;
  if (!(weightMap instanceof Map)) throw badIndex(directory, 'has no object "weight_map"');
  if (weightMap.size === 0) throw badIndex(directory, 'has an empty "weight_map"');
  const checked = new Map<string, string>();
  for (const [tensor, shard] of weightMap) {
    if (typeof shard !== 'string') throw badIndex(directory, `gives tensor ${JSON.stringify(tensor)} no file name`);
    const problem = nameProblem(shard) ?? (shard.endsWith('.safetensors') ? null : 'it does not end with .safetensors');
    if (problem !== null) throw badIndex(directory, `has the unsafe shard name ${JSON.stringify(shard)}: ${problem}`);
    checked.set(tensor, shard);
  }
  return checked;
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw new ModelError('WEIGHTS_UNREADABLE', `Cannot read weights "${path}": ${code}: check its permissions`, {
      cause: error,
      details: { file: path },
    });
  }
}

function noWeights(directory: string): ModelError {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    return new ModelError('MODEL_NOT_FOUND', `Cannot read model "${directory}": it is not a folder: check the path`, {
      cause: error,
      details: { directory },
    });
  }
  const pickle = names.find((name) => /\.(bin|pt|pth|ckpt)$/.test(name));
  const hint =
    pickle === undefined
      ? `it has no ${SINGLE_FILE} and no ${INDEX_FILE}: give a folder in Hugging Face layout`
      : `it has "${pickle}" but no ${SINGLE_FILE}, and pickle files can run code: convert it once with model.save_pretrained(folder, safe_serialization=True)`;
  return new ModelError('WEIGHTS_MISSING', `Cannot read model "${directory}": ${hint}`, { details: { directory } });
}

function badIndex(directory: string, problem: string, cause?: unknown): ModelError {
  const path = join(directory, INDEX_FILE);
  return new ModelError('WEIGHTS_INVALID', `Cannot read weights "${path}": the index ${problem}`, {
    cause,
    details: { file: path, field: 'weight_map', problem },
  });
}
