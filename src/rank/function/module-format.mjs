/**
 * @file A hook of Node's loader: a user's .ts or .js file that is written as an ES module is loaded as one, also in a folder
 * whose package.json does not say so (or that has none). Only then does the place of an error lead to a line of that file.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ES_SYNTAX = /^\s*(?:import|export)\b/m;
/** Names that only CommonJS has: a file that uses them stays what it is. */
const COMMON_JS = /\brequire\s*\(|\bmodule\.exports\b|\bexports\.\w|\b__(?:dirname|filename)\b/;

/** @type {import('node:module').ResolveHook} */
export async function resolve(specifier, context, nextResolve) {
  const result = await nextResolve(specifier, context);
  return isOwnModule(result.url) ? { ...result, format: 'module' } : result;
}

/** @param {string} url */
function isOwnModule(url) {
  if (!url.startsWith('file:') || url.includes('/node_modules/') || !/\.[jt]s(?:$|\?)/.test(url)) return false;
  try {
    const text = readFileSync(fileURLToPath(url), 'utf8');
    return ES_SYNTAX.test(text) && !COMMON_JS.test(text);
  } catch {
    return false; // told where the file is loaded
  }
}
