/**
 * @file Which runs the studio shows. A name in a URL is never made into a path: it is looked up among the folders that
 * were found below the ones that the user gave.
 */
import { type Dirent, existsSync, readdirSync, statSync } from 'node:fs';
import { basename, join, relative, resolve, sep } from 'node:path';
import { isArena } from '../arena/arena.ts';
import { RunError } from '../errors.ts';
import { errorCode, fileError } from '../files/fs.ts';

/** A folder of a run or an arena, and what names it in URLs: its path below the folder that was given, with slashes. */
export interface ListedRun {
  id: string;
  path: string;
}

/** How deep runs lie below a given folder: `sweep/arm/seed-1/twin`. */
const DEEPEST = 4;
/** Folders of a run in which no run lies, and those of other programs. */
const WITHOUT_RUNS = /^(iteration-\d+|model|checkpoints|node_modules|\..*)$/;
/** More folders than this are not looked at, so that a home directory given by mistake does not stall the studio. */
const MOST_FOLDERS = 5000;

/** Checks the folders that a user gave. Throws RunError STUDIO_FOLDER. */
export function checkFolders(folders: readonly string[]): string[] {
  return folders.map((folder) => {
    const path = resolve(folder);
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return path;
    throw new RunError(
      'STUDIO_FOLDER',
      `Cannot show the runs in "${folder}": there is no such folder: give the folder of a run, or one with runs in it`,
      { details: { folder } },
    );
  });
}

/** The runs in some folders, and in their folders: twins and fine-tunings lie in the run that they belong to. */
export function listRuns(folders: readonly string[]): ListedRun[] {
  return listed(folders, isRun);
}

/** The arenas in some folders, and in their folders. */
export function listArenas(folders: readonly string[]): ListedRun[] {
  return listed(folders, isArena);
}

/** The folders below some that are what is looked for. */
function listed(folders: readonly string[], isWanted: (path: string) => boolean): ListedRun[] {
  const found = new Map<string, string>();
  let left = MOST_FOLDERS;
  const visit = (path: string, idOf: (path: string) => string, depth: number): void => {
    left -= 1;
    if (left < 0) return;
    if (isWanted(path)) {
      const id = idOf(path);
      // Two folders may hold runs of the same name.
      found.set(found.has(id) && found.get(id) !== path ? path : id, path);
    }
    if (depth === DEEPEST) return;
    for (const name of foldersIn(path)) visit(join(path, name), idOf, depth + 1);
  };
  for (const folder of folders) {
    const parent = isWanted(folder) ? join(folder, '..') : folder;
    visit(folder, (path) => relative(parent, path).split(sep).join('/') || basename(path), 0);
  }
  return [...found].map(([id, path]) => ({ id, path })).sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Whether a folder holds a run. */
export function isRun(path: string): boolean {
  return existsSync(join(path, 'config.yaml')) && existsSync(join(path, 'run.db'));
}

function foldersIn(path: string): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(path, { withFileTypes: true });
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(errorCode(error) ?? '')) return [];
    throw fileError(error, { action: 'list runs in', path });
  }
  return entries.flatMap((entry) => {
    const mayHoldRuns = (entry.isDirectory() || entry.isSymbolicLink()) && !WITHOUT_RUNS.test(entry.name);
    return mayHoldRuns ? [entry.name] : [];
  });
}
