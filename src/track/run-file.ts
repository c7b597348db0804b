/**
 * @file W&B's file of a run, `run-ID.wandb`, as its own client writes it offline: a log of records, each a protocol-buffer message
 * cut into blocks as LevelDB does it. `wandb sync` uploads it. Fields have the numbers of wandb's messages (version 0.31).
 */
import { crc32 } from 'node:zlib';
import { bytes, type Field, fieldsOf, integer, message, text } from './protobuf.ts';

/** `:W&B`, its magic number, and version 0 of the format. */
export const FILE_HEAD = Buffer.from([0x3a, 0x57, 0x26, 0x42, 0xe1, 0xbe, 0]);
const BLOCK = 32_768;
/** Of a piece: checksum (4 bytes), length (2), and whether it is the whole of a record, or its first, a middle or its last part. */
const PIECE_HEAD = 7;
const WHOLE = 1;
const FIRST = 2;
const MIDDLE = 3;
const LAST = 4;

/** Fields of a record, by what it holds. */
const RECORD = { history: 2, summary: 3, metric: 12, run: 17, exit: 18, header: 21 } as const;

/** The client that a reader of this format has to be at least (as wandb 0.31 writes it). */
const OLDEST_READER = '0.70.0';

/** What the first records say of the run. */
export interface RunOfFile {
  id: string;
  project: string;
  name: string;
  startMs: number;
  settings: Readonly<Record<string, unknown>>;
}

/** A row of the run's table. */
export interface HistoryRow {
  /** Counts the rows from 0: W&B keeps one row a step. */
  row: number;
  timeMs: number;
  values: Readonly<Record<string, number>>;
}

/** The x-axis of all charts, by the name that Hugging Face's trainer gives it. */
export const STEP_NAME = 'train/global_step';

/** Records that begin a file: the version, the run with its settings, and the x-axis. */
export function openingRecords({ id, project, name, startMs, settings }: RunOfFile): Buffer[] {
  const config = Object.entries(settings).map(([key, value]) =>
    bytes(1, message([text(1, key), text(16, JSON.stringify(value))])),
  );
  const seconds = Math.floor(startMs / 1000);
  const start = message([integer(1, seconds), integer(2, Math.round((startMs - seconds * 1000) * 1e6))]);
  const run = message([...[text(1, id), text(3, project), bytes(4, message(config)), text(8, name), bytes(17, start)]]);
  const axis = message([text(1, STEP_NAME)]);
  const charts = message([text(2, '*'), text(4, STEP_NAME), bytes(6, integer(1, 1))]);
  return [
    bytes(RECORD.header, bytes(1, message([text(1, 'selm'), text(2, OLDEST_READER)]))),
    bytes(RECORD.run, run),
    bytes(RECORD.metric, axis),
    bytes(RECORD.metric, charts),
  ];
}

/** A row of the table. `startMs` is when the run began. */
export function historyRecord({ row, timeMs, values }: HistoryRow, startMs: number): Buffer {
  const named = { ...values, _step: row, _timestamp: timeMs / 1000, _runtime: (timeMs - startMs) / 1000 };
  return bytes(RECORD.history, message([...itemsOf(named), bytes(2, integer(1, row))]));
}

/** The last value of each metric, which W&B shows in its lists. */
export function summaryRecord(values: Readonly<Record<string, number>>): Buffer {
  return bytes(RECORD.summary, message(itemsOf(values)));
}

/** The end of the run; a code other than 0 says that it did not finish. */
export function exitRecord({ code, runtimeSeconds }: { code: number; runtimeSeconds: number }): Buffer {
  return bytes(RECORD.exit, message([integer(1, code), integer(2, Math.round(runtimeSeconds))]));
}

function itemsOf(values: Readonly<Record<string, number>>): Buffer[] {
  return Object.entries(values).map(([name, value]) =>
    bytes(1, message([text(2, name), text(16, JSON.stringify(value))])),
  );
}

/** The bytes of records behind the first `offset` bytes of a file: no piece crosses a block. */
export function framed(records: readonly Buffer[], offset: number): Buffer {
  const parts: Buffer[] = [];
  let at = offset;
  const put = (part: Buffer): void => {
    parts.push(part);
    at += part.length;
  };
  for (const record of records)
    for (let from = 0, isFirst = true; isFirst || from < record.length; isFirst = false) {
      if (BLOCK - (at % BLOCK) < PIECE_HEAD) put(Buffer.alloc(BLOCK - (at % BLOCK)));
      const data = record.subarray(from, from + BLOCK - (at % BLOCK) - PIECE_HEAD);
      from += data.length;
      const isLast = from === record.length;
      put(piece(data, isFirst ? (isLast ? WHOLE : FIRST) : isLast ? LAST : MIDDLE));
    }
  return Buffer.concat(parts);
}

function piece(data: Buffer, kind: number): Buffer {
  const head = Buffer.alloc(PIECE_HEAD);
  head.writeUInt32LE(checksum(data, kind));
  head.writeUInt16LE(data.length, 4);
  head.writeUInt8(kind, 6);
  return Buffer.concat([head, data]);
}

function checksum(data: Buffer, kind: number): number {
  return crc32(data, crc32(Buffer.of(kind)));
}

/** What a file has of a run. */
export interface RunFile {
  rows: { values: Readonly<Record<string, number>> }[];
  /** When the run began; null where no record says it. */
  startMs: number | null;
  /** The end of the last whole record that is no exit: behind it a run goes on. */
  endBytes: number;
}

/** Reads the records of a file until one that is torn or damaged. */
export function readRunFile(data: Buffer): RunFile {
  const found: RunFile = { rows: [], startMs: null, endBytes: 0 };
  if (!data.subarray(0, FILE_HEAD.length).equals(FILE_HEAD)) return found;
  found.endBytes = FILE_HEAD.length;
  for (const { record, end } of recordsOf(data)) {
    const fields = fieldsOf(record);
    if (fields === null) break;
    const part = (number: number): Buffer | undefined => fields.find((field) => field.number === number)?.bytes;
    const [history, run, exit] = [part(RECORD.history), part(RECORD.run), part(RECORD.exit)];
    if (exit !== undefined) continue;
    if (history !== undefined) found.rows.push({ values: valuesOf(fieldsOf(history) ?? []) });
    if (run !== undefined) found.startMs = startOf(fieldsOf(run) ?? []);
    found.endBytes = end;
  }
  return found;
}

function* recordsOf(data: Buffer): Generator<{ record: Buffer; end: number }> {
  let parts: Buffer[] = [];
  for (let at = FILE_HEAD.length; ; ) {
    if (BLOCK - (at % BLOCK) < PIECE_HEAD) at += BLOCK - (at % BLOCK);
    if (at + PIECE_HEAD > data.length) return;
    const end = at + PIECE_HEAD + data.readUInt16LE(at + 4);
    const kind = data.readUInt8(at + 6);
    const part = data.subarray(at + PIECE_HEAD, end);
    if (end > data.length || data.readUInt32LE(at) !== checksum(part, kind)) return;
    parts = kind === WHOLE || kind === FIRST ? [part] : [...parts, part];
    at = end;
    if (kind === WHOLE || kind === LAST) yield { record: Buffer.concat(parts), end };
  }
}

/** Numbers of a row by their names, those of W&B's own (`_step`) left out. */
function valuesOf(fields: readonly Field[]): Record<string, number> {
  const items = fields.flatMap(({ number, bytes: item }) =>
    number === 1 && item !== undefined ? [fieldsOf(item) ?? []] : [],
  );
  const named = items.map((item): [string, number] => {
    const value = (...numbers: number[]): string =>
      item.find(({ number }) => numbers.includes(number))?.bytes?.toString('utf8') ?? '';
    return [value(1, 2), Number(value(16))];
  });
  return Object.fromEntries(named.filter(([name]) => !name.startsWith('_')));
}

function startOf(run: readonly Field[]): number | null {
  const start = run.find(({ number }) => number === 17)?.bytes;
  if (start === undefined) return null;
  const [seconds = 0, nanos = 0] = [1, 2].map(
    (wanted) => (fieldsOf(start) ?? []).find(({ number }) => number === wanted)?.integer ?? 0,
  );
  return seconds * 1000 + nanos / 1e6;
}
