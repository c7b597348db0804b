/**
 * @file A log of JSON lines that never loses what it acknowledged: a line is on the disk when `append` returns, and
 * half a line that a dying process left is skipped. Two processes write (a run asks, the studio keeps answers), so
 * whatever must not change between reading and writing happens under one lock.
 */

import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { RunError } from '../errors.ts';
import { errorCode, fileError, fsyncDirectory, makeFolder, nodeFs, writeAll } from './fs.ts';
import { acquireLock } from './lock.ts';

const LINE_END = 10;
/** How long one of the two waits for the other, which holds the lock for milliseconds. */
const LOCK_MS = 5000;

/** The whole lines of a log as values; lines that are no JSON are passed over. A log that is not there is empty. */
export function readLog(path: string): unknown[] {
  return new LogReader(path).read().values;
}

/** What a reader found. */
export interface LogNews {
  /** Of the lines that came since the last look. */
  values: unknown[];
  /** The log is not the one that was read before, or became shorter: these are all its values, and what was read is void. */
  isAnew: boolean;
}

/** Follows a log that grows, and reads each line once. */
export class LogReader {
  readonly #path: string;
  /** Which file was read, up to which byte. */
  #file = '';
  #offset = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** The values of whole lines behind those that were read; lines that are no JSON are passed over. A log that is not there is empty. */
  read(): LogNews {
    try {
      const found = statSync(this.#path);
      // A file that replaced another one may have its number, but was born later.
      const file = `${found.dev}:${found.ino}:${found.birthtimeMs}`;
      const isAnew = this.#offset > 0 && (file !== this.#file || found.size < this.#offset);
      this.#file = file;
      if (isAnew) this.#offset = 0;
      return { values: found.size === this.#offset ? [] : this.#behind(found.size), isAnew };
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw fileError(error, { action: 'read', path: this.#path });
      const isAnew = this.#offset > 0;
      this.#offset = 0;
      return { values: [], isAnew };
    }
  }

  #behind(size: number): unknown[] {
    const bytes = Buffer.alloc(size - this.#offset);
    const file = openSync(this.#path, 'r');
    let length = 0;
    try {
      length = readSync(file, bytes, 0, bytes.length, this.#offset);
    } finally {
      closeSync(file);
    }
    // What stands behind the last line end was never acknowledged, or is being written.
    const whole = bytes.subarray(0, length).lastIndexOf(LINE_END) + 1;
    this.#offset += whole;
    return bytes.toString('utf8', 0, whole).split('\n').flatMap(parsed);
  }
}

function parsed(line: string): unknown[] {
  try {
    return line === '' ? [] : [JSON.parse(line) as unknown];
  } catch {
    return [];
  }
}

/** Appends values, a line each; they are on the disk when it returns. Throws FileError, and then nothing is acknowledged. */
export function append(folder: string, name: string, values: readonly unknown[]): void {
  if (values.length === 0) return;
  const path = join(folder, name);
  makeFolder(folder, { action: 'create' });
  try {
    const file = nodeFs.openSync(path, 'a+');
    try {
      const { size } = nodeFs.fstatSync(file);
      const last = Buffer.alloc(1);
      const isTorn = size > 0 && nodeFs.readSync(file, last, 0, 1, size - 1) === 1 && last[0] !== LINE_END;
      const lines = values.map((value) => `${JSON.stringify(value)}\n`).join('');
      writeAll(file, Buffer.from(`${isTorn ? '\n' : ''}${lines}`));
      nodeFs.fsyncSync(file);
      if (size === 0) fsyncDirectory(folder, nodeFs);
    } finally {
      nodeFs.closeSync(file);
    }
  } catch (error) {
    throw fileError(error, { action: 'write', path });
  }
}

/** Runs a body while no other process is between reading and writing here. */
export async function whileLocked<Result>(folder: string, body: () => Result): Promise<Result> {
  makeFolder(folder, { action: 'create' });
  for (const startMs = performance.now(); ; ) {
    try {
      using _lock = acquireLock(join(folder, 'lock'));
      return body();
    } catch (error) {
      const isBusy = error instanceof RunError && error.code === 'RUN_LOCKED';
      if (!isBusy || performance.now() - startMs > LOCK_MS) throw error;
    }
    await setTimeout(5);
  }
}
