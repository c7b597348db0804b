/**
 * @file The file system calls that writing makes, as an interface: tests hand in one whose N-th call fails. Also the
 * translation of operating-system errors into typed ones that say what to free or change. Synchronous on purpose: the
 * order of write, fsync and rename is the whole point, and nothing else may run between them.
 */
import * as nodeFileSystem from 'node:fs';
import { dirname } from 'node:path';
import { FileError, SelmError } from '../errors.ts';

/** The calls of `node:fs` that this folder makes. */
export type Fs = Pick<
  typeof nodeFileSystem,
  | 'openSync'
  | 'closeSync'
  | 'readSync'
  | 'writeSync'
  | 'fsyncSync'
  | 'fstatSync'
  | 'lstatSync'
  | 'readdirSync'
  | 'renameSync'
  | 'mkdirSync'
  | 'rmSync'
  | 'linkSync'
  | 'statfsSync'
  | 'accessSync'
>;

/** The real file system. */
export const nodeFs: Fs = nodeFileSystem;

/** What was being done when a call failed. */
export interface FileContext {
  /** Verb in the infinitive, as in `Cannot write`. */
  action: string;
  path: string;
  /** Bytes that the whole operation needs, when known. */
  bytesNeeded?: number;
}

/** `errno` code of an error of Node (`ENOSPC`), or null when it is something else. */
export function errorCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

/** Turns an error of the operating system into a FileError with a fix. Errors of this package pass unchanged. */
export function fileError(error: unknown, context: FileContext, fs: Fs = nodeFs): SelmError {
  if (error instanceof SelmError) return error;
  const code = errorCode(error);
  const start = `Cannot ${context.action} "${context.path}"`;
  const details = { path: context.path, errno: code };
  const options = { cause: error, details };
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT': {
      const freeBytes = freeSpace(dirname(context.path), fs);
      const needed = context.bytesNeeded === undefined ? '' : `: ${formatBytes(context.bytesNeeded)} needed`;
      const free = freeBytes === null ? '' : `${needed === '' ? ':' : ','} ${formatBytes(freeBytes)} free`;
      const fix = 'free space there (old runs and checkpoints are the largest files) and run the same command again';
      return new FileError(
        'DISK_FULL',
        `${start}: the disk of "${dirname(context.path)}" is full${needed}${free}: ${fix}`,
        {
          cause: error,
          details: { ...details, bytesNeeded: context.bytesNeeded ?? null, bytesFree: freeBytes },
        },
      );
    }
    case 'EROFS':
      return new FileError(
        'READ_ONLY',
        `${start}: the file system is read-only: choose another output folder`,
        options,
      );
    case 'EACCES':
    case 'EPERM':
      return new FileError(
        'PERMISSION_DENIED',
        `${start}: permission denied: change the permissions or choose another folder`,
        options,
      );
    case 'ENOENT':
      return new FileError('FILE_NOT_FOUND', `${start}: it does not exist: check the path`, options);
    default:
      return new FileError('FILE_IO', `${start}: ${error instanceof Error ? error.message : String(error)}`, options);
  }
}

/** Bytes free for this user on the disk that holds `path`, or null when that cannot be asked. */
export function freeSpace(path: string, fs: Fs = nodeFs): number | null {
  try {
    const { bavail, bsize } = fs.statfsSync(path);
    return bavail * bsize;
  } catch {
    return null;
  }
}

/** `1536` as `1.5 KB`: decimal units, one digit after the point. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(1)} ${units[unit]}`;
}

/** Writes every byte at the end of an open file: one call of the system may write less than asked. */
export function writeAll(fd: number, bytes: Uint8Array, fs: Fs = nodeFs): void {
  // Linux writes at most 2^31 - 4096 bytes a call; 64 MB keeps a progress bar alive and costs nothing.
  const largestWrite = 64 * 1024 * 1024;
  let position = 0;
  while (position < bytes.length) {
    position += fs.writeSync(fd, bytes, position, Math.min(largestWrite, bytes.length - position));
  }
}

/**
 * Makes a folder and those above it. Throws FileError with the true reason, which Node does not give for a recursive
 * `mkdir`: it reports "does not exist" for a link that leads nowhere, and below a read-only file system.
 */
export function makeFolder(path: string, { action, fs = nodeFs }: { action: string; fs?: Fs }): void {
  try {
    fs.mkdirSync(path, { recursive: true });
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw fileError(error, { action, path }, fs);
    const { link, refusal } = obstacleAbove(path, fs);
    if (link === null) throw fileError(refusal ?? error, { action, path }, fs);
    throw new FileError(
      'LINK_BROKEN',
      `Cannot ${action} "${path}": "${link}" is a link to a place that does not exist: make that folder, or remove the link`,
      { cause: error, details: { path, link } },
    );
  }
}

/** The nearest thing above a path that is there: a link that leads nowhere, or a folder, and why it refuses writing. */
function obstacleAbove(path: string, fs: Fs): { link: string | null; refusal: unknown } {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return obstacleAbove(dirname(path), fs);
  if (stat.isSymbolicLink()) return { link: path, refusal: null };
  try {
    fs.accessSync(path, nodeFileSystem.constants.W_OK);
    return { link: null, refusal: null };
  } catch (refusal) {
    return { link: null, refusal };
  }
}

/** Makes the entries of a folder (new names, renames) survive a power loss. */
export function fsyncDirectory(path: string, fs: Fs = nodeFs): void {
  const fd = fs.openSync(path, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
