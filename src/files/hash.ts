/** @file SHA-256 of bytes, texts and files. Files are streamed and the event loop runs between chunks. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Fs, fileError, nodeFs } from './fs.ts';

/** Lower-case hexadecimal SHA-256 of bytes, or of a text as UTF-8. */
export function sha256(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}

/** Digest of every file below a folder, with its name. For folders of sources: the whole is read at once. */
export function sha256Folder(folder: string): string {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1)).sort();
  return sha256(paths.map((path) => `${path} ${sha256(readFileSync(join(folder, path)))}\n`).join(''));
}

/** Size and digest of a file. */
export interface FileDigest {
  bytes: number;
  sha256: string;
}

/** Options of the functions that read files. */
export interface HashOptions {
  /** @default the real file system */
  fs?: Fs;
}

/** Lower-case hexadecimal SHA-256 of a file's content. Throws FileError. */
export async function sha256File(path: string, options: HashOptions = {}): Promise<string> {
  return (await digestFile(path, options)).sha256;
}

/** Options of the functions that digest files. */
export interface DigestOptions extends HashOptions {
  /** `fsync`: also make the file survive a power loss. @default 'as-is' */
  durability?: 'as-is' | 'fsync';
}

/** Size and SHA-256 of a file, read once; other work runs between its chunks. Throws FileError. */
export async function digestFile(path: string, options: DigestOptions = {}): Promise<FileDigest> {
  const steps = digestSteps(path, options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    await nextTurn();
  }
}

/** The same without letting other work run: for a few files at the start of a command. Throws FileError. */
export function digestFileSync(path: string, options: DigestOptions = {}): FileDigest {
  const steps = digestSteps(path, options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** Yields after each full chunk. */
function* digestSteps(
  path: string,
  { fs = nodeFs, durability = 'as-is' }: DigestOptions,
): Generator<void, FileDigest, void> {
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(4 * 1024 * 1024);
  let bytes = 0;
  try {
    const fd = fs.openSync(path, 'r');
    try {
      if (durability === 'fsync') fs.fsyncSync(fd);
      for (;;) {
        const read = fs.readSync(fd, chunk, 0, chunk.length, null);
        if (read === 0) break;
        hash.update(chunk.subarray(0, read));
        bytes += read;
        if (read === chunk.length) yield;
      }
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    throw fileError(error, { action: 'read', path }, fs);
  }
  return { bytes, sha256: hash.digest('hex') };
}
