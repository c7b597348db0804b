/**
 * @file A log of JSON lines that never loses what it acknowledged: a line is on the disk when `append` returns, and
 * half a line that a dying process left is skipped. Two processes write (a run asks, the studio keeps answers), so
 * whatever must not change between reading and writing happens under one lock.
 */

import { readFileSync } from 'node:fs';
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
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw fileError(error, { action: 'read', path });
  }
  // What stands behind the last line end was never acknowledged.
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .flatMap((line) => {
      try {
        return line === '' ? [] : [JSON.parse(line) as unknown];
      } catch {
        return [];
      }
    });
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
