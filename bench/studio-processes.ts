/** @file The processes that the benchmarks of the studio start: `selm` itself, and what stands for its pages. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../src/files/package-root.ts';

const PAGES_SCRIPT = fileURLToPath(new URL('studio-pages.ts', import.meta.url));

/** Starts a script with its standard input and output open to this process. */
function start(script: string, words: readonly string[], environment: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, [...(script.endsWith('.ts') ? ['--import', 'tsx'] : []), script, ...words], {
    cwd: packageRoot,
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, ...environment },
  });
}

/** `selm` with some words. */
export function startSelm(words: readonly string[], environment: Record<string, string> = {}): ChildProcess {
  return start(join(packageRoot, 'bin', 'selm'), words, environment);
}

/** A studio over a folder of runs. */
export function startStudio(folder: string, token: string): ChildProcess {
  return startSelm(['studio', folder, '--port', '0', '--token', token]);
}

/** Pages of a run that a line on standard input opens, and the next one closes. */
export function startPages(port: number, token: string, { run, count }: { run: string; count: number }): ChildProcess {
  return start(PAGES_SCRIPT, [String(port), token, run, String(count)]);
}

/** Where a studio listens, once it says so. */
export async function portOf(studio: ChildProcess): Promise<number> {
  let text = '';
  for await (const piece of studio.stdout ?? []) {
    text += String(piece);
    const port = /127\.0\.0\.1:(\d+)/.exec(text)?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error('The studio did not say where it is');
}

/** Ends a process, if it still lives, and waits for its end. */
export async function ended(child: ChildProcess, signal: 'SIGINT' | 'SIGKILL'): Promise<void> {
  if ((child.exitCode ?? child.signalCode) !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}
