/**
 * @file Which files a user's module reads while it is loaded: word lists, weights, settings. They make it the ranker that it
 * is, as much as its source. What is read later, in a call, the module names in an export `files`.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

type Reading = (path: unknown, ...rest: unknown[]) => unknown;

const READERS = ['readFileSync', 'openSync', 'readFile', 'open', 'createReadStream'] as const;
const PROMISES = ['readFile', 'open'] as const;

/** From now on, notes every file that is opened for reading in this thread, until the function that it returns is called. */
export function noteReads(): () => string[] {
  const seen = new Set<string>();
  const undo: (() => void)[] = [];
  // Node's readFileSync opens by its own openSync: that is one reading.
  let within = false;
  const watch = (owner: object, name: string): void => {
    const functions = owner as Record<string, Reading>;
    const original = functions[name];
    if (original === undefined) return;
    functions[name] = function (this: unknown, path, ...rest) {
      if (within) return original.call(this, path, ...rest);
      const file = pathOf(path);
      if (file !== null && !opensForWriting(name, rest[0]) && !isTheLoaders()) seen.add(file);
      within = true;
      try {
        return original.call(this, path, ...rest);
      } finally {
        within = false;
      }
    };
    undo.push(() => {
      functions[name] = original;
    });
  };
  for (const name of READERS) watch(fs, name);
  for (const name of PROMISES) watch(fs.promises, name);
  syncBuiltinESMExports(); // for those who import a function by its name
  return () => {
    for (const restore of undo) restore();
    syncBuiltinESMExports();
    return [...seen].filter(isOfTheUser).sort();
  };
}

function pathOf(path: unknown): string | null {
  if (typeof path === 'string') return resolve(path);
  if (path instanceof URL) return path.protocol === 'file:' ? fileURLToPath(path) : null;
  return Buffer.isBuffer(path) ? resolve(path.toString()) : null; // a number is a file that is open
}

/** Of the functions that open a file, and say for what in the flags after its path. */
function opensForWriting(name: string, flags: unknown): boolean {
  return name.startsWith('open') && typeof flags === 'string' && /^[wa]/.test(flags);
}

/**
 * Whether the function that reads is Node's or tsx's, which look for modules: since Node 22.15 in the thread that imports them. What
 * they find is followed as imports are, and tsx also reads its own cache.
 */
function isTheLoaders(): boolean {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 3;
  // The first line is no frame, and two frames are of this file.
  const [, , , reader = ''] = String(new Error().stack).split('\n');
  Error.stackTraceLimit = stackTraceLimit;
  return /node:internal\/modules\/|[\\/]node_modules[\\/]tsx[\\/]/.test(reader);
}

/** Not a package's file, which its version stands for, nor the machine's. */
function isOfTheUser(file: string): boolean {
  const isMachines = /^\/(proc|sys|dev)\//.test(file);
  if (isMachines || file.split(sep).includes('node_modules')) return false;
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true;
}
