/**
 * @file Calls a worker thread and waits for its answer: the library `tokenizers` answers by promises only, while encoding is
 * a plain function here.
 */
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';

/** How a call ended. */
export type WorkerAnswer = { kind: 'value'; value: unknown } | { kind: 'error'; name: string; message: string };

/** A worker thread that answers one call at a time. */
export interface SyncWorker {
  call(message: unknown): WorkerAnswer;
  /** Begins a call; the function that it gives waits for the answer. No other call may be made before. */
  begin(message: unknown): () => WorkerAnswer;
  /** Ends the thread; a later call starts another. */
  close(): void;
}

/** What the module is given. It is plain JavaScript: a worker starts without the loader that runs TypeScript. */
export interface SyncWorkerOptions {
  workerData?: Record<string, unknown>;
}

interface LiveWorker {
  worker: Worker;
  port: MessageChannel['port1'];
  /** Counts answers, the first of which says that the thread has started: the worker adds 1 and notifies. */
  answers: Int32Array;
}

/** A start takes about 50 ms alone; a minute means that the machine or the module is broken. */
const START_LIMIT_MS = 60_000;

/** Starts `module` in a thread on the first call, and again after `close`. It does not keep the process alive. */
export function syncWorker(module: URL, options: SyncWorkerOptions = {}): SyncWorker {
  let live: LiveWorker | null = null;

  function start(): LiveWorker {
    const { port1, port2 } = new MessageChannel();
    const answers = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(module, {
      workerData: { ...options.workerData, port: port2, answers },
      transferList: [port2],
      execArgv: [],
    });
    // The failure is seen by the caller as a missing answer; unheard, the event would end the process.
    worker.on('error', () => {});
    worker.unref();
    port1.unref();
    return { worker, port: port1, answers };
  }

  function close(): void {
    void live?.worker.terminate();
    live?.port.close();
    live = null;
  }

  function begin(message: unknown): () => WorkerAnswer {
    live ??= start();
    const called = live;
    const expected = Math.max(1, Atomics.load(called.answers, 0)) + 1;
    called.port.postMessage(message);
    return () => {
      if (!waitForAnswers(called, 1, START_LIMIT_MS)) {
        throw new Error(`The worker thread ${module.pathname} did not start within ${START_LIMIT_MS} ms`);
      }
      waitForAnswers(called, expected, Infinity);
      const received: { message: WorkerAnswer } | undefined = receiveMessageOnPort(called.port);
      return received?.message ?? { kind: 'error', name: 'Ended', message: 'its thread gave no answer' };
    };
  }

  return { call: (message) => begin(message)(), begin, close };
}

/** Waits until the worker has answered so many times; false where it did not within the limit. */
function waitForAnswers({ answers }: LiveWorker, expected: number, limitMs: number): boolean {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const current = Atomics.load(answers, 0);
    if (current >= expected) return true;
    if (performance.now() >= endMs) return false;
    Atomics.wait(answers, 0, current, 1000);
  }
}
