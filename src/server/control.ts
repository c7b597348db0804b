/**
 * @file Stop a run and go on with it from its page. Stopping is the signal that Ctrl-C is: the run saves and ends by itself. Going on starts
 * the command that the run was started with, as a process of its own that outlives the studio.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { RunError } from '../errors.ts';
import { lockHolder } from '../files/lock.ts';
import { packageRoot } from '../files/package-root.ts';
import { readRunCommand } from '../store/run-command.ts';

/** Parser of what a page asks. */
export const givenControl = z.strictObject({ action: z.enum(['stop', 'go-on']) });

/** What the process says that goes on, beside the event log. */
const OUTPUT = 'go-on.log';
/** A command that cannot go on says so within this time; one that is at work after it is at work. */
const FAILS_WITHIN_MS = 4000;
/** Characters of its last words in a message. */
const LAST_WORDS = 600;

/** Asks the process of a run to save and end. Throws RunError STUDIO_NOT_RUNNING or STUDIO_OTHER_MACHINE. */
export function stopRun(runPath: string): void {
  const holder = lockHolder(join(runPath, 'run.lock'));
  if (holder === null)
    throw new RunError('STUDIO_NOT_RUNNING', 'Cannot stop this run: no process is at work on it (any more)');
  if (holder.host !== hostname()) {
    throw new RunError(
      'STUDIO_OTHER_MACHINE',
      `Cannot stop this run: its process ${holder.pid} is on ${holder.host}, and this studio is on ${hostname()}: press Ctrl-C there`,
    );
  }
  process.kill(holder.pid, 'SIGTERM');
}

/** Starts the command of a run again. Throws RunError STUDIO_RUNNING, STUDIO_NO_COMMAND or STUDIO_GO_ON. */
export async function goOnWithRun(runPath: string, { program = join(packageRoot, 'bin', 'selm') } = {}): Promise<void> {
  const holder = lockHolder(join(runPath, 'run.lock'));
  if (holder !== null)
    throw new RunError('STUDIO_RUNNING', `Cannot go on with this run: process ${holder.pid} is at work on it already`);
  const command = readRunCommand(runPath);
  if (command === null) {
    throw new RunError(
      'STUDIO_NO_COMMAND',
      'Cannot go on with this run from here: it was started by a program or an older selm, or was copied: start its `selm train` command in a terminal',
    );
  }
  const outputPath = join(runPath, OUTPUT);
  const output = openSync(outputPath, 'w');
  // The token lets into this studio: a run has no use for it.
  const { SELM_STUDIO_TOKEN: _, ...environment } = process.env;
  const child = spawn(process.execPath, [program, ...command.words], {
    cwd: command.directory,
    env: environment,
    detached: true,
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  child.unref();
  const ended = await new Promise<string | null>((resolve) => {
    const atWork = setTimeout(() => resolve(null), FAILS_WITHIN_MS);
    child.on('error', (error) => {
      clearTimeout(atWork);
      resolve(error.message);
    });
    child.on('exit', (code) => {
      clearTimeout(atWork);
      resolve(code === 0 ? null : readFileSync(outputPath, 'utf8').trim().slice(-LAST_WORDS));
    });
  });
  if (ended !== null)
    throw new RunError(
      'STUDIO_GO_ON',
      `Cannot go on with this run: \`selm ${command.words.join(' ')}\` ended: ${ended}`,
    );
}
