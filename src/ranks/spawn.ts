/** @file The ranks that a process starts on its own machine: the same command again, with the variables of torchrun. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Place } from './place.ts';

/** Lines of a rank's output that are kept for the error of its end. */
const LAST_WORDS = 12;

/** The started ranks. */
export interface LocalRanks {
  /** How a rank ended that should not have, and its last words; null while all live. */
  failure(): { rank: number; how: string; lastWords: string } | null;
  /** Waits until all have ended; those that still live after `graceMs` are killed. */
  end(graceMs: number): Promise<void>;
}

/** Variables of launchers that a started rank must not see: it has its own place. */
const LAUNCHERS = /^(PET_|SLURM_|TORCHELASTIC_)/;

/** The variables of the `index`-th rank after this one. */
export function environmentOf(
  environment: NodeJS.ProcessEnv,
  { rank, size, localRank, localSize, store, attempt }: Place,
  { index, port }: { index: number; port: number },
): NodeJS.ProcessEnv {
  const kept = Object.entries(environment).filter(([name]) => !LAUNCHERS.test(name));
  return {
    ...Object.fromEntries(kept),
    RANK: String(rank + index),
    WORLD_SIZE: String(size),
    LOCAL_RANK: String(localRank + index),
    LOCAL_WORLD_SIZE: String(localSize),
    MASTER_ADDR: store.host,
    MASTER_PORT: String(port),
    // The first rank of this machine may be a client itself, and so is every other.
    TORCHELASTIC_USE_AGENT_STORE: 'True',
    TORCHELASTIC_RESTART_COUNT: attempt,
  };
}

/** The command line of this process without `--ranks`. */
export function withoutRanks(argv: readonly string[]): string[] {
  return argv.filter(
    (word, index) => word !== '--ranks' && argv[index - 1] !== '--ranks' && !word.startsWith('--ranks='),
  );
}

/** Starts the ranks. What they write reaches `say`, line by line, under their numbers. */
export function startLocalRanks(place: Place, port: number, say: (line: string) => void): LocalRanks {
  let failed: ReturnType<LocalRanks['failure']> = null;
  let isEnding = false;
  const children = Array.from({ length: place.spawns }, (_, each) => {
    const index = each + 1;
    const rank = place.rank + index;
    const child = spawn(process.execPath, [...process.execArgv, ...withoutRanks(process.argv.slice(1))], {
      env: environmentOf(process.env, place, { index, port }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const last: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        last.push(line);
        if (last.length > LAST_WORDS) last.shift();
        say(`[rank ${rank}] ${line}`);
      });
    }
    child.on('exit', (code, signal) => {
      if (isEnding || code === 0) return;
      failed ??= { rank, how: signal ?? `exit code ${code}`, lastWords: last.join('\n') };
    });
    return child;
  });
  const killAll = (): void => {
    for (const child of children) child.kill('SIGKILL');
  };
  // Whatever ends this process ends them: they have nothing to do without it.
  process.once('exit', killAll);
  return {
    failure: () => failed,
    async end(graceMs) {
      isEnding = true;
      const timer = setTimeout(killAll, graceMs);
      await Promise.all(children.map(ended));
      clearTimeout(timer);
      process.off('exit', killAll);
    },
  };
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}
