/** @file Reads scalars back from event files, by a reader of its own that knows only what a test needs. */

/** Steps and values of a tag, over several files, by step. */
export function scalarsOf(files: readonly Buffer[], tag: string): [step: number, value: number][] {
  const found = files.flatMap((data) => payloadsOf(data).flatMap((payload) => scalarIn(payload, tag)));
  return found.sort(([a], [b]) => a - b);
}

function payloadsOf(data: Buffer): Buffer[] {
  const payloads: Buffer[] = [];
  for (let at = 0; at < data.length; ) {
    const length = Number(data.readBigUInt64LE(at));
    payloads.push(data.subarray(at + 12, at + 12 + length));
    at += length + 16;
  }
  return payloads;
}

/** The value behind its tag in a summary; the step is field 2, behind the time. Steps below 128 are one byte. */
function scalarIn(payload: Buffer, tag: string): [number, number][] {
  const name = Buffer.from(tag);
  const at = payload.indexOf(Buffer.concat([Buffer.of(10, name.length), name]));
  if (at < 0) return [];
  const step = payload[9] === 0x10 ? (payload[10] ?? 0) : 0;
  return [[step, payload.readFloatLE(at + 2 + name.length + 1)]];
}
