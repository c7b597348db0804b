/**
 * @file The Hub's cache on this machine, in the layout of Python's huggingface_hub, so that what one tool fetched the other
 * has: `blobs/` by content hash, `snapshots/COMMIT/` of links to them, `refs/` with the commits of branches. A blob is there
 * whole or not at all: size and hash are checked before it gets its name.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { HubError } from '../errors.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { errorCode, fileError, fsyncDirectory } from '../files/fs.ts';
import { nameProblem, safePath } from '../files/safe-path.ts';

/** What a repository holds: the same name may be a model and a data set. */
export type RepositoryType = 'model' | 'dataset';

/** A file as the Hub describes it. */
export interface HubFile {
  /** Path in the repository, with slashes. From outside: only `safePath` may join it. */
  path: string;
  bytes: number;
  /** Hash of the content: SHA-256 of a large file, git's blob id of a small one. */
  hash: { kind: 'sha256' | 'git'; hex: string };
}

const DISK_ERRORS = ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'EIO', 'EMFILE'];
const COMMIT = /^[0-9a-f]{40}$/;

/** Whether a revision is a commit already. */
export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}

/** What a folder of a model's files in such a cache is called on the Hub; null for any other folder. */
export function snapshotName(directory: string): { repository: string; commit: string } | null {
  const [, folder, commit] = /models--([^/]+)\/snapshots\/([^/]+)\/?$/.exec(directory) ?? [];
  return folder === undefined || commit === undefined ? null : { repository: folder.replace('--', '/'), commit };
}

/** The cache folder of one repository. */
export class RepositoryCache {
  readonly path: string;

  constructor(cachePath: string, type: RepositoryType, repository: string) {
    this.path = join(cachePath, `${type}s--${repository.replace('/', '--')}`);
  }

  /** Folder of the files of a commit. */
  snapshotPath(commit: string): string {
    return join(this.path, 'snapshots', commit);
  }

  /** The commit that a branch or tag was last seen at, or null. */
  commitOf(revision: string): string | null {
    try {
      const text = readFileSync(this.#refPath(revision), 'utf8').trim();
      return isCommit(text) ? text : null;
    } catch (error) {
      if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return null;
      throw fileError(error, { action: 'read', path: this.path });
    }
  }

  rememberCommit(revision: string, commit: string): void {
    const path = this.#refPath(revision);
    makeFolder(dirname(path));
    writeFileAtomic(path, commit);
  }

  /** Paths of the files of a commit that are here. */
  files(commit: string): string[] {
    const folder = this.snapshotPath(commit);
    if (!existsSync(folder)) return [];
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    return names.filter((name) => isFile(join(folder, name))).map((name) => name.split(sep).join('/'));
  }

  /** Path of a file of a commit, or null when it is not here. */
  find(commit: string, path: string): string | null {
    const place = this.#pointerPath(commit, path);
    return isFile(place) ? place : null;
  }

  /** Stores a file of a commit from its content, or from a blob that is here. Throws what `content` throws. */
  async store(commit: string, file: HubFile, content: () => Promise<AsyncIterable<Uint8Array>>): Promise<string> {
    const pointer = this.#pointerPath(commit, file.path);
    const blob = join(this.path, 'blobs', file.hash.hex);
    makeFolder(dirname(blob));
    makeFolder(dirname(pointer));
    if (!isFile(blob)) await writeBlob(blob, file, content);
    try {
      rmSync(pointer, { force: true });
      symlinkSync(relative(dirname(pointer), blob), pointer);
    } catch (error) {
      // Another process may have made the same link in between.
      if (errorCode(error) !== 'EEXIST') throw fileError(error, { action: 'link', path: pointer });
    }
    return pointer;
  }

  #pointerPath(commit: string, path: string): string {
    return safePath(this.snapshotPath(commit), path, { links: 'follow' });
  }

  #refPath(revision: string): string {
    return safePath(join(this.path, 'refs'), revision);
  }
}

/** Writes under a hidden name of this process, checks size and hash, makes it durable, and gives it its name. */
async function writeBlob(
  blob: string,
  file: HubFile,
  content: () => Promise<AsyncIterable<Uint8Array>>,
): Promise<void> {
  const folder = dirname(blob);
  clearAbandoned(folder, file.hash.hex);
  const incomplete = join(folder, `.${file.hash.hex}.${process.pid}.incomplete`);
  try {
    const hash = createHash(file.hash.kind === 'git' ? 'sha1' : 'sha256');
    if (file.hash.kind === 'git') hash.update(`blob ${file.bytes}\0`);
    let bytes = 0;
    const handle = await open(incomplete, 'w');
    try {
      for await (const chunk of await content()) {
        bytes += chunk.length;
        if (bytes > file.bytes) break;
        hash.update(chunk);
        await handle.writeFile(chunk);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    const found = hash.digest('hex');
    if (bytes !== file.bytes || found !== file.hash.hex) {
      const what = bytes === file.bytes ? 'its hash is another' : `${bytes} of ${file.bytes} bytes came`;
      throw new HubError('HUB_DAMAGED', `Cannot fetch "${file.path}": ${what}: run the same command again`, {
        details: { file: file.path, bytes, expectedBytes: file.bytes },
      });
    }
    await rename(incomplete, blob);
    fsyncDirectory(folder);
  } catch (error) {
    rmSync(incomplete, { force: true });
    // What the network threw is the caller's to explain.
    if (!DISK_ERRORS.includes(errorCode(error) ?? '')) throw error;
    throw fileError(error, { action: 'write', path: blob, bytesNeeded: file.bytes });
  }
}

/** Removes what a process that is gone left of this file. */
function clearAbandoned(folder: string, hex: string): void {
  for (const name of readdirSync(folder)) {
    const pid = /^\.(\w+)\.(\d+)\.incomplete$/.exec(name);
    if (pid?.[1] === hex && !isRunning(Number(pid[2]))) rmSync(join(folder, name), { force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw fileError(error, { action: 'create folder', path });
  }
}

/** Whether a path from the Hub can be stored at all; files with other names are as if they were not there. */
export function isStorable(path: string): boolean {
  return nameProblem(path) === null;
}
