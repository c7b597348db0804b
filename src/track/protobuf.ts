/**
 * @file Protocol buffers, as far as trackers' files need them: a message is its fields one after another, a field its number and wire
 * type, then its value. Whole numbers stay below 2^53; fields of fixed width have numbers below 16.
 */

/** A field that was read. Numbers of fixed width are passed over: neither value is there. */
export interface Field {
  number: number;
  integer?: number;
  bytes?: Buffer;
}

export function message(fields: readonly Buffer[]): Buffer {
  return Buffer.concat(fields);
}

export function double(field: number, value: number): Buffer {
  const buffer = Buffer.alloc(9);
  buffer.writeUInt8((field << 3) | 1);
  buffer.writeDoubleLE(value, 1);
  return buffer;
}

export function float(field: number, value: number): Buffer {
  const buffer = Buffer.alloc(5);
  buffer.writeUInt8((field << 3) | 5);
  buffer.writeFloatLE(value, 1);
  return buffer;
}

export function integer(field: number, value: number): Buffer {
  return Buffer.from([...varint(field << 3), ...varint(value)]);
}

export function bytes(field: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([...varint((field << 3) | 2), ...varint(value.length)]), value]);
}

export function text(field: number, value: string): Buffer {
  return bytes(field, Buffer.from(value));
}

function varint(value: number): number[] {
  const groups: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...groups, rest];
    groups.push((rest % 128) | 128);
  }
}

/** The fields of a message; null where it is none of ours. */
export function fieldsOf(data: Buffer): Field[] | null {
  const fields: Field[] = [];
  for (let at = 0; at < data.length; ) {
    const [tag, afterTag] = readInteger(data, at);
    const number = tag >> 3;
    const [value, afterValue] = readInteger(data, afterTag);
    switch (tag & 7) {
      case 0:
        fields.push({ number, integer: value });
        at = afterValue;
        break;
      case 1:
        at = afterTag + 8;
        break;
      case 2:
        fields.push({ number, bytes: data.subarray(afterValue, afterValue + value) });
        at = afterValue + value;
        break;
      case 5:
        at = afterTag + 4;
        break;
      default:
        return null;
    }
  }
  return fields;
}

function readInteger(data: Buffer, start: number): [value: number, end: number] {
  let value = 0;
  for (let at = start, scale = 1; at < data.length; at++, scale *= 128) {
    const byte = data[at] ?? 0;
    value += (byte & 127) * scale;
    if (byte < 128) return [value, at + 1];
  }
  return [value, data.length];
}
