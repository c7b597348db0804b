/**
 * @file A new file from a function that writes it piece by piece: it is there whole or not at all, and a file that is there
 * already is never replaced, not even by a race.
 */
import { closeSync, existsSync, fsyncSync, linkSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FileError } from '../errors.ts';
import { errorCode, fileError, fsyncDirectory } from './fs.ts';

/**
 * Lets `fill` write a temporary file, and gives it its name when that went well. Folders on the way are made. Throws
 * FileError (FILE_EXISTS, DISK_FULL ...), or what `fill` threw; then nothing is left.
 */
export async function createFile<T>(path: string, fill: (temporaryPath: string) => Promise<T>): Promise<T> {
  refuseExisting(path);
  const temporaryPath = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    mkdirSync(dirname(path), { recursive: true });
    const result = await fill(temporaryPath);
    const fd = openSync(temporaryPath, 'r+');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    // Unlike a rename, a link fails where the name is taken.
    linkSync(temporaryPath, path);
    rmSync(temporaryPath);
    fsyncDirectory(dirname(path));
    return result;
  } catch (error) {
    rmSync(temporaryPath, { force: true });
    if (errorCode(error) === 'EEXIST') refuseExisting(path);
    if (errorCode(error) === null) throw error;
    throw fileError(error, { action: 'write', path });
  }
}

function refuseExisting(path: string): void {
  if (!existsSync(path)) return;
  throw new FileError('FILE_EXISTS', `Cannot write "${path}": it already exists: give another name, or delete it`, {
    details: { path },
  });
}
