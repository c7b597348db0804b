/**
 * @file One door for names that come from outside (shard names of a model index, manifest entries, names in URLs):
 * `safePath(root, name)` returns a path inside `root` or throws. An allow-list of characters, so that percent codes,
 * backslashes, NUL, drive letters and streams never reach the file system, whatever decodes them later.
 */
import { lstatSync, realpathSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { FileError } from '../errors.ts';
import { errorCode } from './fs.ts';

const SEGMENT = /^[A-Za-z0-9_.+=@-]{1,255}$/;
// Windows opens these as devices, whatever their extension and case.
const DEVICE = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$/i;

/** Options of `safePath`. */
export interface SafePathOptions {
  /**
   * `inside`: a symbolic link on the way must end inside the root. `follow`: links are the owner's business; for model
   * folders, because the Hugging Face cache is made of links to a sibling folder.
   * @default 'inside'
   */
  links?: 'inside' | 'follow';
}

/** Why a relative name is refused, or null when it is fine. Pure: looks at the text only. */
export function nameProblem(name: string): string | null {
  if (name === '') return 'it is empty';
  if (name.length > 1024) return 'it is longer than 1024 characters';
  if (name.startsWith('/')) return 'it is an absolute path';
  for (const segment of name.split('/')) {
    if (segment === '') return 'it has an empty part';
    if (/^\.+$/.test(segment)) return `it has the part "${segment}"`;
    if (!SEGMENT.test(segment)) return 'only letters, digits and _ . + = @ - are allowed between slashes';
    if (segment.endsWith('.')) return 'a part ends with a point';
    if (DEVICE.test(segment)) return `"${segment}" is a device name on Windows`;
  }
  return null;
}

/** Absolute path of `name` inside `root`. Throws FileError UNSAFE_PATH when the name could lead anywhere else. */
export function safePath(root: string, name: string, { links = 'inside' }: SafePathOptions = {}): string {
  const problem = nameProblem(name);
  if (problem !== null) throw unsafe(root, name, problem);
  const path = resolve(root, name);
  if (links === 'inside') refuseEscape(root, name);
  return path;
}

/** Follows each existing part of the name: a link must end inside the real root. */
function refuseEscape(root: string, name: string): void {
  let path = resolve(root);
  const realRoot = realPath(path);
  if (realRoot === null) return;
  for (const segment of name.split('/')) {
    path = join(path, segment);
    const real = realPath(path);
    if (real === null) {
      if (exists(path)) throw unsafe(root, name, 'it passes through a link that leads nowhere');
      return;
    }
    if (!real.startsWith(realRoot.endsWith(sep) ? realRoot : realRoot + sep)) {
      throw unsafe(root, name, 'it passes through a link that leaves the folder');
    }
  }
}

function realPath(path: string): string | null {
  try {
    return realpathSync(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw new FileError('UNSAFE_PATH', `Cannot follow "${path}": check its links and permissions`, { cause: error });
  }
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function unsafe(root: string, name: string, problem: string): FileError {
  const shown = JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}...` : name);
  return new FileError('UNSAFE_PATH', `Cannot use the name ${shown} inside "${root}": ${problem}`, {
    details: { root, name, problem },
  });
}
