/** @file `manifest.json` of a committed directory: the size and SHA-256 of each file, and facts for readers. Version 1. */
import { join } from 'node:path';
import { FileError } from '../errors.ts';
import { errorCode, type Fs } from './fs.ts';
import type { FileDigest } from './hash.ts';

export const MANIFEST_NAME = 'manifest.json';

/** What a committed directory says about itself. */
export interface DirectoryManifest {
  formatVersion: 1;
  /** By name relative to the directory, `/` between parts. */
  files: Map<string, FileDigest>;
  details: Record<string, unknown>;
}

/** The manifest as JSON text, files in order of name. */
export function formatManifest(manifest: DirectoryManifest): string {
  const files = Object.fromEntries([...manifest.files].sort(([a], [b]) => (a < b ? -1 : 1)));
  return `${JSON.stringify({ formatVersion: manifest.formatVersion, files, details: manifest.details }, null, 2)}\n`;
}

/** Reads and checks the manifest of a directory, not its files. Throws FileError. */
export function readManifest(directory: string, fs: Fs): DirectoryManifest {
  const path = join(directory, MANIFEST_NAME);
  let text: string;
  try {
    text = readText(path, fs);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENOTDIR') throw error;
    throw incomplete(directory, 'it has no manifest.json, so it was never finished', error);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw incomplete(directory, 'its manifest.json is not JSON', error);
  }
  return parseManifest(directory, value);
}

function parseManifest(directory: string, value: unknown): DirectoryManifest {
  if (!isRecord(value)) throw incomplete(directory, 'its manifest.json is not an object');
  const { formatVersion, files, details } = value;
  if (typeof formatVersion === 'number' && formatVersion > 1) {
    throw new FileError(
      'FORMAT_NEWER',
      `Cannot use directory "${directory}": its manifest has format version ${formatVersion}, this program knows 1: update selm`,
      { details: { path: directory, formatVersion } },
    );
  }
  if (formatVersion !== 1) throw incomplete(directory, 'its manifest.json has no format version');
  if (!isRecord(files)) throw incomplete(directory, 'its manifest.json names no files');
  const parsed = new Map<string, FileDigest>();
  for (const [name, entry] of Object.entries(files)) {
    const bytes = isRecord(entry) ? entry.bytes : undefined;
    const sha256 = isRecord(entry) ? entry.sha256 : undefined;
    const sane = typeof bytes === 'number' && Number.isSafeInteger(bytes) && bytes >= 0;
    if (!sane || typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) {
      throw incomplete(directory, `its manifest.json has no valid size and hash of "${name}"`);
    }
    parsed.set(name, { bytes, sha256 });
  }
  return { formatVersion: 1, files: parsed, details: isRecord(details) ? details : {} };
}

function readText(path: string, fs: Fs): string {
  const fd = fs.openSync(path, 'r');
  try {
    const size = fs.fstatSync(fd).size;
    // A manifest of 16 MB would name about 100,000 files: anything larger is not ours.
    const bytes = Buffer.alloc(Math.min(size, 16 * 1024 * 1024));
    return bytes.toString('utf8', 0, fs.readSync(fd, bytes, 0, bytes.length, 0));
  } finally {
    fs.closeSync(fd);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function incomplete(directory: string, problem: string, cause?: unknown): FileError {
  return new FileError(
    'DIRECTORY_INCOMPLETE',
    `Cannot use directory "${directory}": ${problem}: restore or delete it`,
    {
      cause,
      details: { path: directory, problem },
    },
  );
}
