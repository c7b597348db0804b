/**
 * @file One live process per run directory. The lock is a small JSON file that appears whole (a hard link of a finished
 * one). A lock whose process is dead is taken over; a process id that the system gave to someone else since is told
 * apart by its start time (Linux). A lock of another machine cannot be judged and is respected.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { RunError } from '../errors.ts';
import { errorCode, type Fs, fileError, nodeFs, writeAll } from './fs.ts';

/** How often a lock that is waited for is looked at. */
const POLL_MS = 100;

/** Who holds a lock. */
export interface LockHolder {
  pid: number;
  host: string;
  /** Boot and clock ticks since then at which the process started, or null where the system does not say. */
  startedAt: string | null;
}

/** A lock that is held. */
export interface Lock {
  readonly path: string;
  /** Gives the lock back; a second call does nothing. Also called when the process exits. */
  release(): void;
  [Symbol.dispose](): void;
}

/** Options of `acquireLock`. */
export interface LockOptions {
  /** @default the real file system */
  fs?: Fs;
  /** Who asks. @default this process */
  holder?: LockHolder;
}

/** Takes the lock at `path` or throws RunError RUN_LOCKED naming the process that has it. */
export function acquireLock(path: string, { fs = nodeFs, holder = thisProcess() }: LockOptions = {}): Lock {
  const own = `${path}.${holder.pid}`;
  const content = JSON.stringify(holder);
  try {
    writeSmall(own, content, fs);
    try {
      // Each turn either gets the lock, finds it held, or clears a stale one; others may do the same at the same time.
      for (let turn = 0; turn < 10; turn++) {
        if (linked(own, path, fs)) return heldLock(path, content, fs);
        const found = readLock(path);
        if (found === null) continue;
        if (found.holder !== null && isAlive(found.holder)) throw locked(path, found.holder);
        clearStale(path, { own, stale: found.text, fs });
      }
    } finally {
      fs.rmSync(own, { force: true });
    }
  } catch (error) {
    throw fileError(error, { action: 'lock', path }, fs);
  }
  throw new RunError('RUN_LOCKED', `Cannot lock "${path}": other processes are taking it at the same time: try again`);
}

/** The live process that holds the lock at `path`, or null when nobody does. */
export function lockHolder(path: string): LockHolder | null {
  const holder = readLock(path)?.holder ?? null;
  return holder !== null && isAlive(holder) ? holder : null;
}

/**
 * Waits until nobody holds the lock at `path`, or `limitMs` have passed, or the signal is aborted: a process whose parent was killed ends at
 * its next pause, and gives its lock back then.
 */
export async function waitUntilUnlocked(
  path: string,
  { limitMs, signal }: { limitMs: number; signal?: AbortSignal | undefined },
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (lockHolder(path) !== null && performance.now() < endMs && signal?.aborted !== true) await sleep(POLL_MS);
}

/** Throws RunError RUN_LOCKED where a live process holds the lock at `path`; to be told early, before `acquireLock`. */
export function refuseLocked(path: string): void {
  const holder = lockHolder(path);
  if (holder !== null) throw locked(path, holder);
}

/** Moves a stale lock aside; if another process replaced it meanwhile, what was moved is a live lock and goes back. */
function clearStale(path: string, { own, stale, fs }: { own: string; stale: string; fs: Fs }): void {
  const aside = `${own}.stale`;
  try {
    fs.renameSync(path, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  if (readLock(aside)?.text !== stale) linked(aside, path, fs);
  fs.rmSync(aside, { force: true });
}

function heldLock(path: string, content: string, fs: Fs): Lock {
  const release = () => {
    process.removeListener('exit', release);
    try {
      if (readLock(path)?.text === content) fs.rmSync(path, { force: true });
    } catch (error) {
      throw fileError(error, { action: 'unlock', path }, fs);
    }
  };
  process.once('exit', release);
  return { path, release, [Symbol.dispose]: release };
}

/** This process, as it signs a lock. */
export function thisProcess(): LockHolder {
  return { pid: process.pid, host: hostname(), startedAt: processStart(process.pid) };
}

/** Whether the process that signed a lock may still run. When in doubt, it does. */
export function isAlive(holder: LockHolder): boolean {
  if (holder.host !== hostname()) return true;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (errorCode(error) === 'ESRCH') return false;
  }
  const startedAt = processStart(holder.pid);
  return startedAt === null || holder.startedAt === null || startedAt === holder.startedAt;
}

/**
 * When a process started, comparable by equality, or null where `/proc` is absent. A process that has died but was not
 * yet collected by its parent (state Z) has the start `dead`.
 */
export function processStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in brackets and may hold anything: count from its last bracket.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z') return 'dead';
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}:${fields[19]}`;
  } catch {
    return null;
  }
}

/** The lock at `path`; null when there is none. A file that is no lock has no holder. */
function readLock(path: string): { holder: LockHolder | null; text: string } | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
  try {
    const value: unknown = JSON.parse(text);
    const { pid, host, startedAt } = value as Record<string, unknown>;
    const sane = typeof pid === 'number' && Number.isInteger(pid) && pid > 0 && typeof host === 'string';
    if (!sane) return { holder: null, text };
    return { holder: { pid, host, startedAt: typeof startedAt === 'string' ? startedAt : null }, text };
  } catch {
    return { holder: null, text };
  }
}

function linked(from: string, to: string, fs: Fs): boolean {
  try {
    fs.linkSync(from, to);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

function writeSmall(path: string, content: string, fs: Fs): void {
  const fd = fs.openSync(path, 'w');
  try {
    writeAll(fd, Buffer.from(content), fs);
  } finally {
    fs.closeSync(fd);
  }
}

function locked(path: string, holder: LockHolder): RunError {
  const elsewhere = holder.host !== hostname();
  const who = elsewhere ? `process ${holder.pid} of machine "${holder.host}"` : `process ${holder.pid}`;
  const fix = elsewhere ? `when that machine no longer runs it, delete "${path}"` : 'wait for it, or stop it';
  return new RunError('RUN_LOCKED', `Cannot use this run directory: ${who} works in it: ${fix}`, {
    details: { path, ...holder },
  });
}
