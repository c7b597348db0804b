/** @file Reads the event log of a run (event-log.ts) behind any id, while the run goes on or long after. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { errorCode, fileError } from '../files/fs.ts';
import { EVENT_LOG_NAME } from './event-log.ts';

const at = { timeMs: z.number() };
const stage = { ...at, stage: z.string(), iteration: z.number() };

/** Parser of a line. What a newer version adds is not understood here, and left out. */
const eventSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('opened'), ...at, formatVersion: z.number(), pid: z.number() }),
  z.object({ kind: z.literal('heartbeat'), ...at, residentBytes: z.number() }),
  z.object({ kind: z.literal('failed'), ...at, code: z.string(), message: z.string() }),
  z.object({ kind: z.literal('closed'), ...at, outcome: z.enum(['finished', 'stopped']) }),
  z.object({ kind: z.literal('stage-started'), ...stage, total: z.number(), done: z.number(), unit: z.string() }),
  z.object({
    kind: z.literal('stage-progress'),
    ...stage,
    done: z.number(),
    total: z.number(),
    detail: z.string().optional(),
  }),
  z.object({ kind: z.literal('stage-finished'), ...stage, seconds: z.number(), summary: z.string() }),
  z.object({ kind: z.literal('stage-skipped'), ...stage }),
  z.object({
    kind: z.literal('metrics'),
    ...at,
    iteration: z.number(),
    step: z.number(),
    // JSON has no not-a-number; it is written as null.
    values: z.record(z.string(), z.number().nullable()),
  }),
  z.object({ kind: z.literal('note'), ...at, iteration: z.number(), text: z.string() }),
  z.object({ kind: z.literal('warning'), ...at, iteration: z.number(), text: z.string() }),
]);

/** An event as the log has it. */
export type LoggedEvent = z.output<typeof eventSchema>;
/** The same with its id: the byte at which its line ends. */
export type NumberedEvent = { id: number; event: LoggedEvent };

export interface ReadEvents {
  events: NumberedEvent[];
  /** What to give as `afterId` the next time: the end of the last whole line that was read. */
  lastId: number;
  /** Whether this is the end of the log; else there may be more behind it. */
  isAll: boolean;
}

/** Read at once at most; a reader that is further behind calls again. */
const MOST_BYTES = 256 * 1024;
const LINE_END = 10;
/** Of a run without a log. */
const EMPTY: ReadEvents = { events: [], lastId: 0, isAll: true };

/**
 * The events behind an id, as many as fit into one read; 0 is the beginning. Null where the id is none of this log (the
 * run was started over): start again from 0. A run without a log has no events.
 */
export function readEvents(
  runPath: string,
  afterId: number,
  { mostBytes = MOST_BYTES }: { mostBytes?: number } = {},
): ReadEvents | null {
  return withLog(runPath, EMPTY, (file, size) => {
    if (!Number.isSafeInteger(afterId) || afterId < 0 || afterId > size) return null;
    if (afterId > 0 && readBytes(file, afterId - 1, 1)[0] !== LINE_END) return null;
    const bytes = readBytes(file, afterId, Math.min(mostBytes, size - afterId));
    const isAll = bytes.length < mostBytes;
    if (bytes.includes(LINE_END) || isAll) return { ...parseLines(bytes, afterId), isAll };
    return { events: [], lastId: endOfLine(file, afterId + bytes.length, mostBytes) ?? afterId, isAll: false };
  });
}

/** Where a line ends that is longer than a read, and so none of ours: it must not hold a reader up for ever. */
function endOfLine(file: number, from: number, mostBytes: number): number | null {
  for (let position = from; ; position += mostBytes) {
    const bytes = readBytes(file, position, mostBytes);
    const end = bytes.indexOf(LINE_END);
    if (end >= 0) return position + end + 1;
    if (bytes.length < mostBytes) return null;
  }
}

/** The last events of a log, as many as its last 64 KB hold. */
export function lastEvents(runPath: string, { mostBytes = 64 * 1024 }: { mostBytes?: number } = {}): ReadEvents {
  return withLog(runPath, EMPTY, (file, size) => {
    const start = Math.max(0, size - mostBytes);
    const bytes = readBytes(file, start, mostBytes);
    const skipped = start === 0 ? 0 : bytes.indexOf(LINE_END) + 1;
    return { ...parseLines(bytes.subarray(skipped), start + skipped), isAll: true };
  });
}

/** Whole lines of a piece of the log that begins at `start`; what is no event of ours is passed over. */
function parseLines(bytes: Buffer, start: number): Omit<ReadEvents, 'isAll'> {
  const events: NumberedEvent[] = [];
  let from = 0;
  for (;;) {
    const end = bytes.indexOf(LINE_END, from);
    if (end < 0) return { events, lastId: start + from };
    const event = parseEvent(bytes.toString('utf8', from, end));
    from = end + 1;
    if (event !== null) events.push({ id: start + from, event });
  }
}

function parseEvent(line: string): LoggedEvent | null {
  try {
    return eventSchema.parse(JSON.parse(line));
  } catch {
    return null; // a line that a dying process left half written, or of a newer version
  }
}

function readBytes(file: number, position: number, most: number): Buffer {
  const bytes = Buffer.alloc(most);
  return bytes.subarray(0, readSync(file, bytes, 0, most, position));
}

function withLog<Result>(runPath: string, none: Result, read: (file: number, size: number) => Result): Result {
  const path = join(runPath, EVENT_LOG_NAME);
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return none;
    throw fileError(error, { action: 'read event log', path });
  }
  try {
    return read(file, fstatSync(file).size);
  } finally {
    closeSync(file);
  }
}
