/** @file Starts a process that runs something (worker.ts), and hears from it. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { LoopEvent } from '../../store/events.ts';
import type { FromProcess, ProcessEnd, ProcessWork, ToProcess } from './messages.ts';

const START = fileURLToPath(new URL('./worker-start.mjs', import.meta.url));
/** Characters kept of what a process said last on stderr, to tell when it ended without a word. */
const KEPT = 2000;

/** A process under way. */
export interface StartedProcess {
  ended: Promise<ProcessEnd>;
  /** Asks it to stop at its next safe point; `ended` follows. */
  stop(): void;
}

/** Does work in a process of its own. It is not in the group that a terminal interrupts: whoever started it tells it to stop. */
export function startProcess(work: ProcessWork, watch: (event: LoopEvent) => void): StartedProcess {
  const child = fork(START, [], { detached: true, stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [] });
  const send = (message: ToProcess): void => {
    if (child.connected) child.send(message, () => {}); // one that is gone says so by its exit
  };
  let last = '';
  let stopping = false;
  let end: ProcessEnd | null = null;
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    last = (last + text).slice(-KEPT);
  });
  child.on('message', (message: FromProcess) => {
    switch (message.kind) {
      case 'ready':
        send({ kind: 'work', work });
        if (stopping) send({ kind: 'stop' });
        break;
      case 'event':
        watch(message.event);
        break;
      case 'end':
        end = message.end;
    }
  });
  const ended = new Promise<ProcessEnd>((resolve) => {
    child.on('error', (error) => resolve({ kind: 'lost', how: error.message, said: '' }));
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
function lost({ code, signal, last }: { code: number | null; signal: string | null; last: string }): ProcessEnd {
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
  const memory = signal === 'SIGKILL' ? ' (the system ends a process so when memory is short)' : '';
  const said = last.trim() === '' ? '' : `; the last that it said:\n${last.trim()}`;
  return { kind: 'lost', how: `${how}${memory}`, said };
}
