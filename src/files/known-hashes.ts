/**
 * @file SHA-256 of large files. A process hashes a file once, as long as its size, time and inode stay the same: a
 * run's identity, its rankers and its ledger all ask for the same weights.
 */
import { statSync } from 'node:fs';
import { fileError } from './fs.ts';
import { digestFileSync, sha256File } from './hash.ts';

const known = new Map<string, string>();

/** Lower-case hexadecimal SHA-256 of a file; other work runs while it is read. Throws FileError. */
export async function knownSha256(path: string): Promise<string> {
  const state = stateOf(path);
  const digest = known.get(state) ?? (await sha256File(path));
  known.set(state, digest);
  return digest;
}

/** The same at once. */
export function knownSha256Sync(path: string): string {
  const state = stateOf(path);
  const digest = known.get(state) ?? digestFileSync(path).sha256;
  known.set(state, digest);
  return digest;
}

function stateOf(path: string): string {
  try {
    const { ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${path}\n${ino} ${size} ${mtimeNs}`;
  } catch (error) {
    throw fileError(error, { action: 'read', path });
  }
}
