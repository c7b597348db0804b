/**
 * @file Calls the functions of a user's module in a worker thread, each call with a time limit that holds. An `await`
 * that never ends costs its call only. An endless loop blocks the thread and every call in it: the thread is ended, a
 * new one loads the module, and the calls that may have blocked it run again one at a time, so that the guilty one is
 * named and no other is lost. (A loop inside native code cannot be ended by anybody; the call is still reported.)
 *
 * The thread:
 *
 *     loading ── ready ──▶ working ── a call is over its time, or none begins ──▶ asked "are you there?"
 *        ▲                    ▲                                                     │            │
 *        │                    └────────────────── it answers ───────────────────────┘            │
 *        └──────── lost: it does not answer within PING_MS, it crashes, or it exits ◀────────────┘
 *
 * A call:
 *
 *     waiting ─▶ sent ─▶ begun ─▶ done or threw          begun, over its time, the thread answers: it alone fails
 *        ▲                 │                             begun alone when the thread is lost: it is guilty, and fails
 *        └──── suspect ◀───┘ one of several that were begun when the thread is lost: each runs again, alone
 */
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { RankerError } from '../../errors.ts';
import type { UsedFiles } from './sources.ts';
import type { HostMessage, WorkerMessage, WorkerSettings } from './worker.ts';

/** How long a thread may take to answer "are you there" before it counts as blocked. */
const PING_MS = 1000;
const BLOCKED = 'it did not give back control';

interface Call {
  readonly id: number;
  readonly name: string;
  readonly arguments: unknown[];
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: RankerError) => void;
  /** Set when the worker began it. */
  timer: NodeJS.Timeout | null;
  /** Was in flight when the thread blocked: runs with no other call beside it. */
  suspect: boolean;
  sent: boolean;
}

export interface FunctionHostOptions {
  /** Longest time of one call, in milliseconds. */
  timeoutMs: number;
  /** Longest time of loading the module, in milliseconds: it may read a model. @default 60000, or timeoutMs if longer */
  loadTimeoutMs?: number;
}

/** One worker thread with one user's module. Starts a new thread when the old one is lost. */
export class FunctionHost {
  readonly #path: string;
  readonly #timeoutMs: number;
  readonly #loadTimeoutMs: number;
  readonly #calls = new Map<number, Call>();
  #worker: Worker | null = null;
  #functions: string[] = [];
  #usedFiles: UsedFiles = { read: [], files: [] };
  #ready = false;
  #nextId = 0;
  #silence: NodeJS.Timeout | null = null;
  #ping: NodeJS.Timeout | null = null;
  #whenAnswered: (() => void)[] = [];
  /** A call that timed out may still run in this thread, and may be what blocks it later. */
  #abandoned = false;
  #lostWithoutCall = 0;

  private constructor(path: string, options: FunctionHostOptions) {
    this.#path = path;
    this.#timeoutMs = options.timeoutMs;
    this.#loadTimeoutMs = options.loadTimeoutMs ?? Math.max(60_000, options.timeoutMs);
  }

  /**
   * Loads the module and returns when its functions can be called.
   *
   * @throws RankerError RANKER_MODULE_FAILED when it throws while loading, RANKER_TIMEOUT when loading does not end
   */
  static async start(path: string, options: FunctionHostOptions): Promise<FunctionHost> {
    const host = new FunctionHost(path, options);
    await host.#startWorker();
    return host;
  }

  /** The files that it uses, as it told when it was loaded first. */
  get usedFiles(): UsedFiles {
    return this.#usedFiles;
  }

  /** Names of the functions that the module exports. */
  get functions(): readonly string[] {
    return this.#functions;
  }

  /**
   * Calls an exported function and awaits its value.
   *
   * @throws RankerError RANKER_THREW, RANKER_TIMEOUT, RANKER_CRASHED (the function ended its thread)
   */
  call(name: string, values: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#calls.set(id, { id, name, arguments: values, resolve, reject, timer: null, suspect: false, sent: false });
      this.#sendWaiting();
    });
  }

  /** Ends the thread. Calls in flight are rejected. */
  async close(): Promise<void> {
    const worker = this.#detachWorker();
    for (const call of [...this.#calls.values()]) {
      this.#fail(
        call,
        new RankerError('RANKER_CLOSED', `Cannot finish ${call.name}() of ${this.#path}: it was closed`),
      );
    }
    await worker?.terminate();
  }

  async #startWorker(): Promise<void> {
    const workerData: WorkerSettings = { moduleUrl: pathToFileURL(this.#path).href };
    // Without the parent's own flags: the start file brings the loader.
    const worker = new Worker(new URL('./worker-start.mjs', import.meta.url), { workerData, execArgv: [] });
    this.#worker = worker;
    await new Promise<void>((resolve, reject) => {
      const refuse = (code: string, reason: string) => {
        clearTimeout(timer);
        if (worker === this.#worker) this.#detachWorker();
        void worker.terminate();
        const message = `Cannot load the ranker module ${this.#path}: ${reason}`;
        reject(new RankerError(code, message, { details: { module: this.#path } }));
      };
      const timer = setTimeout(() => {
        refuse('RANKER_TIMEOUT', `it was still loading after ${this.#loadTimeoutMs} ms: make it load faster`);
      }, this.#loadTimeoutMs);
      worker.on('message', (message: WorkerMessage) => {
        if (worker !== this.#worker) return; // a thread that was given up
        if (message.kind === 'load-failed') return refuse('RANKER_MODULE_FAILED', message.reason);
        if (message.kind === 'ready') {
          clearTimeout(timer);
          this.#functions = message.functions;
          this.#usedFiles = message;
          this.#ready = true;
          worker.unref(); // an idle ranker does not keep the program alive
          resolve();
          return this.#sendWaiting();
        }
        this.#receive(message);
      });
      worker.on('error', (error: Error) => {
        if (worker !== this.#worker) return;
        if (this.#ready) this.#lost(`${error.name}: ${error.message}`);
        else refuse('RANKER_MODULE_FAILED', `${error.name}: ${error.message}`);
      });
      worker.on('exit', (exitCode) => {
        clearTimeout(timer);
        if (worker !== this.#worker) return;
        if (this.#ready) this.#lost(`it ended its thread with exit code ${exitCode}`);
        else refuse('RANKER_MODULE_FAILED', `it ended its thread with exit code ${exitCode}`);
      });
    });
  }

  /** Forgets the thread, so that nothing it still says is heard. */
  #detachWorker(): Worker | null {
    const worker = this.#worker;
    this.#worker = null;
    this.#ready = false;
    for (const timer of [this.#silence, this.#ping]) clearTimeout(timer ?? undefined);
    this.#silence = null;
    this.#ping = null;
    this.#whenAnswered = [];
    this.#abandoned = false;
    return worker;
  }

  /** Sends what waits: everything at once, or one suspect at a time with nothing beside it. */
  #sendWaiting(): void {
    if (!this.#ready) return;
    const calls = [...this.#calls.values()];
    const suspects = calls.filter((call) => call.suspect);
    const inFlight = calls.some((call) => call.sent);
    const next = suspects.length === 0 ? calls.filter((call) => !call.sent) : inFlight ? [] : suspects.slice(0, 1);
    for (const call of next) {
      call.sent = true;
      this.#post({ kind: 'call', id: call.id, name: call.name, arguments: call.arguments });
    }
    this.#watchSilence();
  }

  #post(message: HostMessage): void {
    this.#worker?.postMessage(message);
  }

  #receive(message: Exclude<WorkerMessage, { kind: 'ready' | 'load-failed' }>): void {
    if (message.kind === 'pong') {
      clearTimeout(this.#ping ?? undefined);
      this.#ping = null;
      for (const answered of this.#whenAnswered.splice(0)) answered();
    } else {
      const call = this.#calls.get(message.id);
      if (message.kind === 'started' && call !== undefined) {
        call.timer = setTimeout(() => this.#timedOut(call), this.#timeoutMs);
      } else if (message.kind === 'done' && call !== undefined) {
        this.#finish(call);
        this.#lostWithoutCall = 0;
        call.resolve(message.value);
      } else if (message.kind === 'threw' && call !== undefined) {
        this.#fail(call, new RankerError('RANKER_THREW', `${call.name}() of ${this.#path} threw ${message.reason}`));
      }
    }
    this.#sendWaiting();
  }

  #finish(call: Call): void {
    clearTimeout(call.timer ?? undefined);
    this.#calls.delete(call.id);
  }

  #fail(call: Call, error: RankerError): void {
    this.#finish(call);
    call.reject(error);
  }

  /** A call took too long: is it waiting (only it is lost), or does it hold the thread? */
  #timedOut(call: Call): void {
    this.#askIfBlocked(() => {
      this.#abandoned = true;
      this.#fail(call, this.#timeoutError(call));
      this.#sendWaiting();
    });
  }

  /** `answered` runs if the thread still speaks; otherwise it is blocked. */
  #askIfBlocked(answered: () => void): void {
    this.#whenAnswered.push(answered);
    if (this.#ping !== null) return;
    this.#ping = setTimeout(() => this.#lost(BLOCKED), PING_MS);
    this.#post({ kind: 'ping' });
  }

  /**
   * The thread is blocked or gone, by one of the calls it began. One alone is guilty; of several, each runs again alone.
   */
  #lost(reason: string): void {
    const begun = [...this.#calls.values()].filter((call) => call.timer !== null);
    const [only] = begun;
    if (begun.length === 1 && only !== undefined && !this.#abandoned) {
      this.#fail(only, this.#lostError(only, reason));
    } else if (begun.length > 0) {
      for (const call of begun) call.suspect = true;
    } else if (++this.#lostWithoutCall > 2) {
      for (const call of [...this.#calls.values()]) this.#fail(call, this.#lostError(call, reason));
    }
    this.#restart();
  }

  #restart(): void {
    const worker = this.#detachWorker();
    for (const call of this.#calls.values()) {
      clearTimeout(call.timer ?? undefined);
      call.timer = null;
      call.sent = false;
    }
    void worker?.terminate();
    this.#startWorker().catch((error: unknown) => {
      const lost = error instanceof RankerError ? error : new RankerError('RANKER_MODULE_FAILED', String(error));
      for (const call of [...this.#calls.values()]) this.#fail(call, lost);
    });
  }

  /** Calls were sent, and none began for a whole time limit: something left over from before holds the thread. */
  #watchSilence(): void {
    clearTimeout(this.#silence ?? undefined);
    this.#silence = null;
    const calls = [...this.#calls.values()];
    if (!calls.some((call) => call.sent && call.timer === null)) return;
    this.#silence = setTimeout(() => {
      this.#askIfBlocked(() => this.#watchSilence());
    }, this.#timeoutMs);
  }

  #lostError(call: Call, reason: string): RankerError {
    if (reason === BLOCKED) return this.#timeoutError(call);
    return new RankerError('RANKER_CRASHED', `${call.name}() of ${this.#path} stopped its thread: ${reason}`);
  }

  #timeoutError(call: Call): RankerError {
    return new RankerError(
      'RANKER_TIMEOUT',
      `${call.name}() of ${this.#path} took longer than ${this.#timeoutMs} ms: make it faster, or raise ranker.timeoutMs`,
      { details: { module: this.#path, timeoutMs: this.#timeoutMs } },
    );
  }
}
