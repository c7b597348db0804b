/**
 * @file TensorBoard's event files: records with checksums (TFRecord) of small protocol-buffer messages. Written and read
 * without a library; the bytes equal those of the Python package (test/fixtures/tensorboard).
 */
import { bytes, double, fieldsOf, float, integer, message, text } from './protobuf.ts';

/** A scalar at a step. */
export interface ScalarEvent {
  wallTimeSeconds: number;
  step: number;
  values: Readonly<Record<string, number>>;
}

/** The record that begins every event file. */
export function versionRecord(wallTimeSeconds: number): Buffer {
  return record(message([double(1, wallTimeSeconds), text(3, 'brain.Event:2')]));
}

/** Scalars of one step. TensorBoard shows `a/b` in the group `a`. */
export function scalarsRecord({ wallTimeSeconds, step, values }: ScalarEvent): Buffer {
  const summary = Object.entries(values).map(([tag, value]) => bytes(1, message([text(1, tag), float(2, value)])));
  return record(
    message([double(1, wallTimeSeconds), ...(step === 0 ? [] : [integer(2, step)]), bytes(5, message(summary))]),
  );
}

/** What a file has at a step: the names of its scalars. */
export interface FoundEvent {
  step: number;
  tags: string[];
}

/** The events of a file that have scalars, and the end of its last whole record: a process that died leaves half of one. */
export function readEventFile(data: Buffer): { events: FoundEvent[]; wholeBytes: number } {
  const events: FoundEvent[] = [];
  let at = 0;
  for (;;) {
    const payload = payloadAt(data, at);
    if (payload === null) return { events, wholeBytes: at };
    const event = eventIn(payload);
    if (event !== null) events.push(event);
    at += payload.length + 16;
  }
}

/** TFRecord: length (8 bytes, little-endian), its checksum, the payload, its checksum. */
function record(payload: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(payload.length));
  head.writeUInt32LE(maskedChecksum(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedChecksum(payload));
  return Buffer.concat([head, payload, tail]);
}

function payloadAt(data: Buffer, at: number): Buffer | null {
  if (at + 16 > data.length || data.readUInt32LE(at + 8) !== maskedChecksum(data.subarray(at, at + 8))) return null;
  const end = at + 12 + Number(data.readBigUInt64LE(at));
  if (end + 4 > data.length) return null;
  const payload = data.subarray(at + 12, end);
  return data.readUInt32LE(end) === maskedChecksum(payload) ? payload : null;
}

/** Field 2 is the step, field 5 the summary; null of the file's version, which has none. Step 0 is not written. */
function eventIn(payload: Buffer): FoundEvent | null {
  const fields = fieldsOf(payload);
  const summary = fields?.find(({ number }) => number === 5)?.bytes;
  if (fields === null || summary === undefined) return null;
  // A summary's field 1 is a value, whose field 1 is its name.
  const values = (fieldsOf(summary) ?? []).flatMap(({ number, bytes: value }) =>
    number === 1 && value !== undefined ? (fieldsOf(value) ?? []) : [],
  );
  const tags = values.flatMap(({ number, bytes: name }) =>
    number === 1 && name !== undefined ? [name.toString('utf8')] : [],
  );
  return { step: fields.find(({ number }) => number === 2)?.integer ?? 0, tags };
}

/** Castagnoli's CRC-32, masked as TFRecord has it so that a checksum of a checksum is no trap. */
function maskedChecksum(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  crc = (crc ^ 0xffffffff) >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});
