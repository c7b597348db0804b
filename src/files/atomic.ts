/**
 * @file Writes that are there whole or not at all, also after a crash or a power loss: write under a temporary name,
 * fsync, rename, fsync the folder. A directory also gets a manifest of sizes and hashes; a directory whose manifest does
 * not hold does not exist for any reader. Temporary names start with a point and carry the final name, so the next
 * commit to the same name clears what a crash left. One writer a path is assumed (lock.ts sees to that).
 */
import { basename, dirname, join } from 'node:path';
import { FileError } from '../errors.ts';
import { errorCode, type Fs, fileError, fsyncDirectory, makeFolder, nodeFs, writeAll } from './fs.ts';
import { digestFile, type FileDigest } from './hash.ts';
import { type DirectoryManifest, formatManifest, MANIFEST_NAME, readManifest } from './manifest.ts';
import { nameProblem, safePath } from './safe-path.ts';

/** Options of the atomic writers. */
export interface AtomicOptions {
  /** @default the real file system */
  fs?: Fs;
}

/** Writes a file whole or not at all. When it returns, the content survives a power loss. Throws FileError. */
export function writeFileAtomic(path: string, data: Uint8Array | string, { fs = nodeFs }: AtomicOptions = {}): void {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'utf8') : data;
  const temporaryPath = siblingPath(path, 'tmp');
  try {
    writeDurably(temporaryPath, bytes, fs);
    fs.renameSync(temporaryPath, path);
    fsyncDirectory(dirname(path), fs);
  } catch (error) {
    removeQuietly(temporaryPath, fs);
    throw fileError(error, { action: 'write', path, bytesNeeded: bytes.length }, fs);
  }
}

/** Options of `commitDirectory`. */
export interface CommitOptions extends AtomicOptions {
  /** Facts for readers, kept in the manifest (step, counters ...): anything JSON can hold. @default {} */
  details?: Record<string, unknown>;
  /** Bytes that the whole directory takes, about: said when the disk is full. @default what the failing file takes */
  bytesNeeded?: number;
}

/** Files that `fill` has written, fsynced and hashed already, by their names in the directory. */
export type WrittenFiles = ReadonlyMap<string, FileDigest>;

/**
 * Creates or replaces a directory whole or not at all: `fill` writes files (also in subfolders) under a temporary path,
 * then each is fsynced and hashed (but those that `fill` says it did that for), the manifest is written, and the directory
 * is renamed to `finalPath`.
 * A failure or a crash at any moment leaves the previous directory (or none) or the new one. Throws FileError, or
 * what `fill` threw.
 */
export async function commitDirectory(
  finalPath: string,
  fill:
    | ((temporaryPath: string) => Promise<void> | void)
    | ((temporaryPath: string) => WrittenFiles)
    | ((temporaryPath: string) => Promise<WrittenFiles>),
  { fs = nodeFs, details = {}, bytesNeeded }: CommitOptions = {},
): Promise<DirectoryManifest> {
  const temporaryPath = siblingPath(finalPath, 'tmp');
  const previousPath = siblingPath(finalPath, 'previous');
  const parent = dirname(finalPath);
  try {
    makeFolder(parent, { action: 'create', fs });
    recoverPrevious(finalPath, fs);
    fs.rmSync(temporaryPath, { recursive: true, force: true });
    fs.rmSync(previousPath, { recursive: true, force: true });
    fs.mkdirSync(temporaryPath);
    const written = await fill(temporaryPath);
    const files = await settle(temporaryPath, written instanceof Map ? written : new Map(), fs);
    const manifest: DirectoryManifest = { formatVersion: 1, files, details };
    writeDurably(join(temporaryPath, MANIFEST_NAME), Buffer.from(formatManifest(manifest), 'utf8'), fs);
    fsyncDirectory(temporaryPath, fs);
    swapIn(temporaryPath, finalPath, previousPath, fs);
    fsyncDirectory(parent, fs);
    removeQuietly(previousPath, fs);
    return manifest;
  } catch (error) {
    removeQuietly(temporaryPath, fs);
    const context = { action: 'write', path: finalPath, ...(bytesNeeded === undefined ? {} : { bytesNeeded }) };
    throw fileError(reasonOf(error, bytesNeeded), context, fs);
  }
}

/** A full disk is told for the directory as a whole where its size is known, not for the file that met it. */
function reasonOf(error: unknown, bytesNeeded: number | undefined): unknown {
  const isFull = error instanceof FileError && error.code === 'DISK_FULL';
  return isFull && bytesNeeded !== undefined ? error.cause : error;
}

/** Options of `verifyDirectory`. */
export interface VerifyOptions extends AtomicOptions {
  /** Checks the files that a manifest names. @default one after the other, here */
  verifyFiles?: (path: string, files: DirectoryManifest['files']) => Promise<void>;
}

/**
 * Checks every file of a directory against its manifest (size, then hash) and returns the manifest. A directory that a
 * crash left half replaced is first put back. Files that the manifest does not name are ignored.
 * Throws FileError DIRECTORY_INCOMPLETE naming the file, or FORMAT_NEWER.
 */
export async function verifyDirectory(
  path: string,
  { fs = nodeFs, verifyFiles }: VerifyOptions = {},
): Promise<DirectoryManifest> {
  try {
    recoverPrevious(path, fs);
    const manifest = readManifest(path, fs);
    if (verifyFiles !== undefined) await verifyFiles(path, manifest.files);
    else for (const [name, expected] of manifest.files) await verifyFile(path, name, { expected, fs });
    return manifest;
  } catch (error) {
    throw fileError(error, { action: 'verify', path }, fs);
  }
}

/** Checks one file of a directory, by its size and then by its hash. Throws FileError DIRECTORY_INCOMPLETE. */
export async function verifyFile(
  path: string,
  name: string,
  { expected, fs = nodeFs }: { expected: FileDigest } & AtomicOptions,
): Promise<void> {
  const filePath = safePath(path, name);
  const incomplete = (problem: string, cause?: unknown) =>
    new FileError(
      'DIRECTORY_INCOMPLETE',
      `Cannot use directory "${path}": file "${name}" ${problem}: restore or delete it`,
      {
        cause,
        details: { path, file: name },
      },
    );
  const stat = fs.lstatSync(filePath, { throwIfNoEntry: false });
  if (stat === undefined) throw incomplete('is missing');
  if (!stat.isFile()) throw incomplete('is not a regular file');
  if (stat.size !== expected.bytes)
    throw incomplete(`has ${stat.size} bytes, not the ${expected.bytes} of its manifest`);
  const found = await digestFile(filePath, { fs });
  if (found.sha256 !== expected.sha256) throw incomplete('has other content than its manifest says (SHA-256 differs)');
}

/** Size and hash of every file below `root`, depth first, durable as is every folder but `root`. */
async function settle(root: string, written: WrittenFiles, fs: Fs, folder = ''): Promise<Map<string, FileDigest>> {
  const files = new Map<string, FileDigest>();
  const names = fs.readdirSync(join(root, folder)).sort();
  for (const entry of names) {
    const name = folder === '' ? entry : `${folder}/${entry}`;
    const path = join(root, name);
    const problem = name === MANIFEST_NAME ? 'this name is kept for the manifest' : nameProblem(name);
    if (problem !== null) throw new FileError('UNSAFE_PATH', `Cannot write a file named "${name}": ${problem}`);
    const stat = fs.lstatSync(path);
    if (stat.isDirectory()) {
      for (const [inner, digest] of await settle(root, written, fs, name)) files.set(inner, digest);
    } else if (stat.isFile()) {
      const known = written.get(name);
      files.set(name, known?.bytes === stat.size ? known : await digestFile(path, { fs, durability: 'fsync' }));
    } else {
      throw new FileError('UNSAFE_PATH', `Cannot write "${path}": only regular files and folders can be committed`);
    }
  }
  if (folder !== '') fsyncDirectory(join(root, folder), fs);
  return files;
}

/** Renames the new directory in. One that is there steps aside first and returns if the second rename fails. */
function swapIn(temporaryPath: string, finalPath: string, previousPath: string, fs: Fs): void {
  if (fs.lstatSync(finalPath, { throwIfNoEntry: false }) === undefined) {
    fs.renameSync(temporaryPath, finalPath);
    return;
  }
  fs.renameSync(finalPath, previousPath);
  try {
    fs.renameSync(temporaryPath, finalPath);
  } catch (error) {
    fs.renameSync(previousPath, finalPath);
    throw error;
  }
}

/** Undoes a replacement that a crash stopped between its two renames. */
function recoverPrevious(finalPath: string, fs: Fs): void {
  if (fs.lstatSync(finalPath, { throwIfNoEntry: false }) !== undefined) return;
  try {
    fs.renameSync(siblingPath(finalPath, 'previous'), finalPath);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

function writeDurably(path: string, bytes: Uint8Array, fs: Fs): void {
  const fd = fs.openSync(path, 'w');
  try {
    writeAll(fd, bytes, fs);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Hidden name beside `path`, the same in every process, so that leftovers of a crash are found again. */
function siblingPath(path: string, kind: 'tmp' | 'previous'): string {
  return join(dirname(path), `.${basename(path)}.${kind}`);
}

/**
 * Removes what nobody needs any more. That it cannot be removed ends no work: after a failure the failure itself is what
 * the caller must hear of, and what stays is removed the next time.
 */
export function removeQuietly(path: string, fs: Fs = nodeFs): void {
  try {
    fs.rmSync(path, { recursive: true, force: true });
  } catch {
    // As said above.
  }
}
