/**
 * @file A link to a folder beside it that replaces an older link in one step: whoever follows it finds the old folder
 * or the new one.
 */
import { lstatSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FileError } from '../errors.ts';
import { fileError, fsyncDirectory } from './fs.ts';

/**
 * Makes or replaces the symbolic link `path`; `target` is relative to its folder, so that the folder can be moved. FileError
 * LINK_TAKEN where something else than a link has the name, which is left alone, or of a file system without links.
 */
export function replaceLink(path: string, target: string): void {
  const existing = lstatSync(path, { throwIfNoEntry: false });
  if (existing !== undefined && !existing.isSymbolicLink()) {
    throw new FileError(
      'LINK_TAKEN',
      `Cannot link "${path}" to ${target}: something else has that name: move it away`,
      {
        details: { path },
      },
    );
  }
  const temporary = join(dirname(path), `.${basename(path)}.tmp`);
  try {
    rmSync(temporary, { force: true });
    symlinkSync(target, temporary, 'dir');
    renameSync(temporary, path);
    fsyncDirectory(dirname(path));
  } catch (error) {
    throw fileError(error, { action: 'link', path });
  }
}
