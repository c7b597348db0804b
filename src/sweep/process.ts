/** @file Starts the process of one run of a sweep (worker.ts), and hears from it. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { SweepError } from '../errors.ts';
import type { LoopEvent } from '../store/events.ts';
import type { PlannedRun } from './plan.ts';
import type { RunEnd, StartedRun } from './schedule.ts';
import type { FromWorker, ToWorker } from './worker.ts';

const START = fileURLToPath(new URL('./worker-start.mjs', import.meta.url));
/** Characters kept of what a process said last on stderr, to tell when it ended without a word. */
const KEPT = 2000;

/** Runs a recipe in a process of its own. It is not in the group that a terminal interrupts: its sweep tells it to stop. */
export function startRun(
  { recipe }: PlannedRun,
  watch: (event: LoopEvent) => void,
  { acceptChanges }: { acceptChanges: boolean },
): StartedRun {
  const child = fork(START, [], { detached: true, stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [] });
  const send = (message: ToWorker): void => {
    if (child.connected) child.send(message, () => {}); // one that is gone says so by its exit
  };
  let last = '';
  let stopping = false;
  let end: RunEnd | null = null;
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    last = (last + text).slice(-KEPT);
  });
  child.on('message', (message: FromWorker) => {
    switch (message.kind) {
      case 'ready':
        send({ kind: 'run', recipe, acceptChanges });
        if (stopping) send({ kind: 'stop' });
        break;
      case 'event':
        watch(message.event);
        break;
      case 'end':
        end = message.end;
    }
  });
  const ended = new Promise<RunEnd>((resolve) => {
    child.on('error', (error) => resolve({ kind: 'failed', code: 'SWEEP_PROCESS', message: error.message }));
    child.on('close', (code, signal) => resolve(end ?? lost({ code, signal, last })));
  });
  return {
    ended,
    stop: () => {
      stopping = true;
      send({ kind: 'stop' });
    },
  };
}

/** A process that ended without saying how. */
function lost({ code, signal, last }: { code: number | null; signal: string | null; last: string }): RunEnd {
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
  const memory = signal === 'SIGKILL' ? ' (the system ends a process so when memory is short)' : '';
  const said = last.trim() === '' ? '' : `; the last that it said:\n${last.trim()}`;
  const error = new SweepError(
    'SWEEP_PROCESS',
    `The process of the run ended with ${how}${memory}: run the same command again, which goes on with it${said}`,
  );
  return { kind: 'failed', code: error.code, message: error.message };
}
