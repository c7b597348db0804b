/**
 * @file Calls a worker thread and waits for its answer: the library `tokenizers` answers by promises only, while encoding is
 * a plain function here.
 */
import { MessageChannel, type ResourceLimits, receiveMessageOnPort, Worker } from 'node:worker_threads';

/** How a call ended. `overrun`: it used its processor time, or its memory, and the worker was ended. */
export type WorkerAnswer =
  | { kind: 'value'; value: unknown }
  | { kind: 'error'; name: string; message: string }
  | { kind: 'overrun' };

/** A worker thread that answers one call at a time. */
export interface SyncWorker {
  call(message: unknown, options?: { cpuLimitMs?: number | undefined }): WorkerAnswer;
  /** Ends the thread; a later call starts another. */
  close(): void;
}

/** What to run. The module is plain JavaScript: a worker starts without the loader that runs TypeScript. */
export interface SyncWorkerOptions {
  resourceLimits?: ResourceLimits;
  workerData?: Record<string, unknown>;
}

interface LiveWorker {
  worker: Worker;
  port: MessageChannel['port1'];
  /** Counts answers: the worker adds 1 and notifies. */
  answers: Int32Array;
}

/** A start takes about 50 ms alone; a minute means that the machine or the module is broken. */
const START_LIMIT_MS = 60_000;
/** A worker that neither answers nor uses the processor for so long is gone (out of memory, for one). */
const SILENCE_LIMIT_MS = 20_000;

/** Starts `module` in a thread on the first call, and again after an overrun. It does not keep the process alive. */
export function syncWorker(module: URL, options: SyncWorkerOptions = {}): SyncWorker {
  let live: LiveWorker | null = null;

  function start(): LiveWorker {
    const { port1, port2 } = new MessageChannel();
    const answers = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(module, {
      workerData: { ...options.workerData, port: port2, answers },
      transferList: [port2],
      execArgv: [],
      ...(options.resourceLimits === undefined ? {} : { resourceLimits: options.resourceLimits }),
    });
    // The failure is seen by the caller as a missing answer; unheard, the event would end the process.
    worker.on('error', () => {});
    worker.unref();
    port1.unref();
    const started = { worker, port: port1, answers };
    if (!waitForAnswers(started, 1, START_LIMIT_MS)) {
      throw new Error(`The worker thread ${module.pathname} did not start within ${START_LIMIT_MS} ms`);
    }
    return started;
  }

  function close(): void {
    void live?.worker.terminate();
    live?.port.close();
    live = null;
  }

  function call(message: unknown, { cpuLimitMs }: { cpuLimitMs?: number | undefined } = {}): WorkerAnswer {
    live ??= start();
    const { port, answers } = live;
    const expected = Atomics.load(answers, 0) + 1;
    port.postMessage(message);
    if (!waitForAnswers(live, expected, cpuLimitMs)) {
      close();
      return { kind: 'overrun' };
    }
    const received: { message: WorkerAnswer } | undefined = receiveMessageOnPort(port);
    return received === undefined ? { kind: 'overrun' } : received.message;
  }

  return { call, close };
}

/**
 * Waits until the worker has answered. The limit is of processor time, not of the clock, so that a busy machine does
 * not end an honest call: while this thread waits, the process's processor time is the worker's.
 */
function waitForAnswers({ answers }: LiveWorker, expected: number, cpuLimitMs: number | undefined): boolean {
  const startMs = performance.now();
  const before = process.cpuUsage();
  for (;;) {
    const current = Atomics.load(answers, 0);
    if (current >= expected) return true;
    Atomics.wait(answers, 0, current, cpuLimitMs === undefined ? 1000 : Math.max(1, cpuLimitMs / 8));
    if (cpuLimitMs === undefined || Atomics.load(answers, 0) >= expected) continue;
    const used = process.cpuUsage(before);
    if ((used.user + used.system) / 1000 >= cpuLimitMs) return false;
    if (performance.now() - startMs >= Math.max(cpuLimitMs, SILENCE_LIMIT_MS)) return false;
  }
}
