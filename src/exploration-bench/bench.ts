/** @file Runs the missing cells of a benchmark, in as many processes as it is given. Finished cells are on disk. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { SweepError } from '../errors.ts';
import { type Cell, cellsOf, missingOf, writeCell } from './cells.ts';
import type { BenchGrid } from './grid.ts';
import type { FromBenchWorker } from './worker.ts';

const START = fileURLToPath(new URL('./worker-start.mjs', import.meta.url));

export interface BenchOptions {
  /** Processes at once. */
  readonly parallel: number;
  readonly signal: AbortSignal;
  /** Told after every cell: runs of methods that are done, of all. */
  readonly progress: (done: number, total: number) => void;
}

/**
 * Runs every method of every world and seed that has no result, and returns how many it ran. Stopped, it ends after the
 * cells under way.
 *
 * @throws SweepError SWEEP_PROCESS where a process ends by itself
 */
export async function runBench(grid: BenchGrid, { parallel, signal, progress }: BenchOptions): Promise<number> {
  const cells = cellsOf(grid);
  const open = cells.flatMap((cell) => {
    const methods = missingOf(grid.output, cell);
    return methods.length === 0 ? [] : [{ ...cell, methods }];
  });
  const total = cells.length * grid.methods.length;
  const missing = open.reduce((sum, { methods }) => sum + methods.length, 0);
  let done = total - missing;
  let next = 0;
  const lane = async (): Promise<void> => {
    await using worker = await startWorker();
    while (next < open.length && !signal.aborted) {
      const cell = open[next++];
      if (cell === undefined) break;
      writeCell(grid.output, cell, await worker.run(cell));
      done += cell.methods.length;
      progress(done, total);
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, open.length) }, lane));
  return done - (total - missing);
}

interface Worker extends AsyncDisposable {
  run(cell: Cell): Promise<Extract<FromBenchWorker, { kind: 'results' }>['results']>;
}

/** Starts a process and waits until it listens. */
async function startWorker(): Promise<Worker> {
  const child = fork(START, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: [] });
  let ended = false;
  const gone = new Promise<never>((_, reject) => {
    const end = (how: string): void => {
      ended = true;
      reject(
        new SweepError('SWEEP_PROCESS', `A process of the benchmark ended with ${how}: run the same command again`),
      );
    };
    child.on('error', (error) => end(error.message));
    child.on('exit', (code, signal) => end(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
  gone.catch(() => {}); // heard by whoever waits for an answer
  const answer = (): Promise<FromBenchWorker> =>
    Promise.race([gone, new Promise<FromBenchWorker>((resolve) => child.once('message', resolve))]);
  await answer();
  return {
    async run(cell) {
      const heard = answer();
      child.send(cell);
      const message = await heard;
      return message.kind === 'results' ? message.results : {};
    },
    async [Symbol.asyncDispose]() {
      if (!ended) child.kill();
    },
  };
}
