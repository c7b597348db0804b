/**
 * @file The event log of a run, `events.jsonl`: what happens is appended line by line, so that another process can follow a
 * run, or look at what it did while nobody followed. The id of an event is the byte at which its line ends: a reader that
 * gives the last id continues after it without an index. The log is for watching; a run resumes from the ledger. So the log
 * is not fsynced, and never ends a run.
 */
import { join } from 'node:path';
import { InterruptedError, SelmError } from '../errors.ts';
import { type Fs, fileError, nodeFs, writeAll } from '../files/fs.ts';
import type { Announce, Notice } from './events.ts';

/** Name of the file in a run directory. */
export const EVENT_LOG_NAME = 'events.jsonl';
/** Said by each `opened` event. A change of meaning raises it. */
export const EVENT_LOG_VERSION = 1;

/** What the log says beside the notices of the loop. */
export type ProcessNotice =
  /** A process began to work in the run. */
  | { kind: 'opened'; formatVersion: number; pid: number }
  /** It still does, and holds this much memory. */
  | { kind: 'heartbeat'; residentBytes: number }
  | { kind: 'failed'; code: string; message: string }
  /** It came to the end, or was asked to stop. A process that died has no such event. */
  | { kind: 'closed'; outcome: 'finished' | 'stopped' };

/** Least time between two lines of progress: a page needs no more, and a long run stays small. */
const PROGRESS_MS = 500;
const HEARTBEAT_MS = 10_000;
const LINE_END = 10;

/** Options of `openEventLog`. */
export interface EventLogOptions {
  /** Hears once, as a sentence, that the log cannot be written any more. @default nobody */
  report?: (text: string) => void;
  /** Milliseconds since 1970. @default Date.now */
  clock?: () => number;
  /** @default the real file system */
  fs?: Fs;
}

/** Opens the log of a run for appending. */
export function openEventLog(runPath: string, options: EventLogOptions = {}): EventLog {
  return new EventLog(join(runPath, EVENT_LOG_NAME), options);
}

/** An open log. Close it, or let `using` do so. */
export class EventLog {
  readonly path: string;
  readonly #report: (text: string) => void;
  readonly #clock: () => number;
  readonly #fs: Fs;
  readonly #heartbeat: NodeJS.Timeout;
  #file: number | null = null;
  #progressMs = Number.NEGATIVE_INFINITY;

  /** Use `openEventLog`. */
  constructor(path: string, { report = () => {}, clock = Date.now, fs = nodeFs }: EventLogOptions) {
    this.path = path;
    this.#report = report;
    this.#clock = clock;
    this.#fs = fs;
    this.#guard(() => {
      this.#file = fs.openSync(path, 'a+');
      if (isTorn(this.#file, fs)) writeAll(this.#file, Buffer.of(LINE_END), fs);
    });
    this.#append({ kind: 'opened', formatVersion: EVENT_LOG_VERSION, pid: process.pid });
    this.#beat();
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.#heartbeat.unref(); // a run that is over does not wait for it
  }

  /** An `Announce` that writes what it is told to the log, and hands it on. */
  through(announce: Announce, { iteration }: { iteration: number }): Announce {
    return (notice) => {
      if (this.#isWorthALine(notice)) this.#append({ ...notice, iteration });
      announce(notice);
    };
  }

  /** Runs the work of a run, and writes how it ended. */
  async during<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      const result = await work();
      this.#append({ kind: 'closed', outcome: 'finished' });
      return result;
    } catch (error) {
      if (error instanceof InterruptedError) this.#append({ kind: 'closed', outcome: 'stopped' });
      else this.#append({ kind: 'failed', ...failureOf(error) });
      throw error;
    }
  }

  /** Closes the file; a second call does nothing. */
  close(): void {
    clearInterval(this.#heartbeat);
    const file = this.#file;
    this.#file = null;
    if (file !== null) this.#fs.closeSync(file);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** All but a progress that follows another one closely; the last of a stage always. */
  #isWorthALine(notice: Notice): boolean {
    if (notice.kind === 'stage-started') this.#progressMs = Number.NEGATIVE_INFINITY;
    if (notice.kind !== 'stage-progress') return true;
    const now = this.#clock();
    if (now - this.#progressMs < PROGRESS_MS && notice.done < notice.total) return false;
    this.#progressMs = now;
    return true;
  }

  #beat(): void {
    this.#append({ kind: 'heartbeat', residentBytes: process.memoryUsage.rss() });
  }

  #append(event: (Notice & { iteration: number }) | ProcessNotice): void {
    const file = this.#file;
    if (file === null) return;
    const line = `${JSON.stringify({ ...event, timeMs: this.#clock() })}\n`;
    this.#guard(() => writeAll(file, Buffer.from(line), this.#fs));
  }

  /** What fails is said once, and the log is left alone from then on. */
  #guard(write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#file = null;
      const { message } = fileError(error, { action: 'write event log', path: this.path }, this.#fs);
      this.#report(`Whoever follows this run sees no more of it; the run goes on. ${message}`);
    }
  }
}

/** Whether a process that died left half a line. */
function isTorn(file: number, fs: Fs): boolean {
  const { size } = fs.fstatSync(file);
  const last = Buffer.alloc(1);
  return size > 0 && fs.readSync(file, last, 0, 1, size - 1) === 1 && last[0] !== LINE_END;
}

function failureOf(error: unknown): { code: string; message: string } {
  if (error instanceof SelmError) return { code: error.code, message: error.message };
  return { code: 'UNEXPECTED', message: error instanceof Error ? error.message : String(error) };
}
