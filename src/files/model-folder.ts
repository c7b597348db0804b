/** @file Checks that a path is a model folder. If it is not, the error says what it is instead, and what to give. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ModelError } from '../errors.ts';

/** What a model folder has, for messages. */
const LAYOUT = 'a folder in Hugging Face layout (config.json, tokenizer.json, *.safetensors)';

/**
 * Throws ModelError MODEL_FOLDER unless the path is a folder with config.json or adapter_config.json. A path that can only be
 * meant as a name on the Hub (`owner/name`) is answered with that name.
 */
export function checkModelFolder(path: string): void {
  const problem = modelFolderProblem(path);
  if (problem === null) return;
  throw new ModelError('MODEL_FOLDER', `Cannot open the model ${path}: ${problem}`, { details: { path } });
}

/** What is wrong with a path as a model folder, and what to give; null for a model folder. */
export function modelFolderProblem(path: string): string | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) {
    const name = hubNameIn(path);
    return `there is no such folder: ${name === null ? `give ${LAYOUT}, or hub:owner/name` : `did you mean hub:${name}?`}`;
  }
  if (!stat.isDirectory()) return `it is a file: give ${LAYOUT}, the one around it if it is a part of a model`;
  if (['config.json', 'adapter_config.json'].some((name) => existsSync(join(path, name)))) return null;
  const names = readdirSync(path).sort();
  const inside = names.find((name) => existsSync(join(path, name, 'config.json')));
  if (inside !== undefined)
    return `it has no config.json, and the folder ${inside} in it has: give ${join(path, inside)}`;
  const found =
    names.length === 0 ? 'it is empty' : `it has ${names.slice(0, 5).join(', ')}${names.length > 5 ? ' ...' : ''}`;
  return `it has no config.json (${found}): give ${LAYOUT}`;
}

/** `owner/name` where a path ends in it, neither is there, and the folder around them is. */
function hubNameIn(path: string): string | null {
  const owner = dirname(path);
  const name = `${basename(owner)}/${basename(path)}`;
  const isName = /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/.test(name) && !/^(models?|runs)\//.test(name);
  return isName && !existsSync(owner) && existsSync(dirname(owner)) && dirname(owner) !== '/' ? name : null;
}
