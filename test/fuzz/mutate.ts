/**
 * @file Mutations for the fuzzer: changes of bytes, and for JSON changes of the value. All drawn from counter-based random
 * numbers, so that input i of a seed is the same everywhere and needs nothing before it.
 */
import { type RandomKey, uniformAt } from '../../src/random.ts';

/** Random choices from one key, in order. */
export class Draws {
  readonly #key: RandomKey;
  #counter = 0;

  constructor(key: RandomKey) {
    this.#key = key;
  }

  /** A whole number from 0 to n - 1. */
  below(n: number): number {
    return Math.min(n - 1, Math.floor(uniformAt(this.#key, this.#counter++) * n));
  }

  pick<T>(values: readonly T[]): T {
    const value = values[this.below(values.length)];
    if (value === undefined) throw new Error('Nothing to pick from');
    return value;
  }
}

/** Bytes that parsers stumble over. */
const BYTES: readonly Uint8Array[] = [
  ...['{', '}', '[', ']', '"', ',', ':', '\\', '\\u0000', '\\ud800', '\0', '\ufeff', '\n', ' '],
  ...['0', '-1', '1e308', '1e999', '-0', 'NaN', 'Infinity', 'null', 'true', '9007199254740993', '18446744073709551615'],
  ...['__proto__', 'constructor', 'toString', '../../etc/passwd', '/etc/passwd', '..\\x', '%2e%2e%2f', 'CON'],
  ...['&a', '*a', '<<: *a', '!!binary x', '!!js/function x', '- ', '? ', '|', '---\n', '\t'],
].map((text) => new TextEncoder().encode(text));
const RAW: readonly Uint8Array[] = [
  [0xff],
  [0xff, 0xff, 0xff, 0xff],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0, 0, 0, 0],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
  [0xc0, 0xaf],
  [0xed, 0xa0, 0x80],
].map((bytes) => Uint8Array.from(bytes));

/** One change of bytes; `others` are inputs to splice from. */
export function mutateBytes(input: Uint8Array, draws: Draws, others: readonly Uint8Array[]): Uint8Array {
  const at = draws.below(input.length + 1);
  const length = Math.min(input.length - at, 1 + draws.below(draws.pick([1, 4, 16, 200])));
  const replace = (remove: number, insert: Uint8Array): Uint8Array =>
    Uint8Array.from([...input.subarray(0, at), ...insert, ...input.subarray(at + remove)]);
  switch (draws.below(8)) {
    case 0: {
      const copy = Uint8Array.from(input);
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << draws.below(8));
      return copy;
    }
    case 1: {
      const copy = Uint8Array.from(input);
      if (at < copy.length) copy[at] = draws.below(256);
      return copy;
    }
    case 2:
      return replace(length, new Uint8Array());
    case 3:
      return replace(0, input.subarray(at, at + length));
    case 4:
      return replace(0, draws.pick([...BYTES, ...RAW]));
    case 5: {
      const insert = draws.pick([...BYTES, ...RAW]);
      return replace(insert.length, insert);
    }
    case 6:
      return input.slice(0, at);
    default: {
      const other = draws.pick(others);
      const from = draws.below(other.length + 1);
      return replace(length, other.subarray(from, from + 1 + draws.below(200)));
    }
  }
}

/** Values that a field may be set to by someone who means harm, or by a broken writer. */
const VALUES: readonly unknown[] = [
  ...[0, -0, -1, 1, 2, 0.5, 1e-300, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 53 + 2, 2 ** 63, 1e308, -1e308],
  ...[
    null,
    true,
    false,
    '',
    ' ',
    'NaN',
    '-1',
    'x'.repeat(1000),
    '\u0000',
    '\ud800',
    '../../x',
    '/etc/passwd',
    '__proto__',
  ],
  ...[[], {}, [[]], [1, 2, 3], { a: 1 }, [null], Array.from({ length: 300 }, (_, i) => i)],
];

/** One change of a JSON value: a field set, removed, doubled, renamed, moved or nested. Text that cannot be changed so stays. */
export function mutateJson(text: string, draws: Draws): string {
  try {
    return mutateValue(JSON.parse(text), draws);
  } catch {
    return text; // not JSON any more, or nested too deep for JSON.stringify
  }
}

function mutateValue(root: unknown, draws: Draws): string {
  const places: { holder: Record<string, unknown> | unknown[]; key: string | number }[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
    for (const [key, child] of entries) {
      places.push({ holder: value as Record<string, unknown> | unknown[], key });
      if (places.length < 2000) visit(child);
    }
  };
  visit(root);
  if (places.length === 0) return JSON.stringify(draws.pick(VALUES));
  const { holder, key } = draws.pick(places);
  const target = holder as Record<string | number, unknown>;
  const value = target[key];
  switch (draws.below(8)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete target[key];
      break;
    case 1:
      if (Array.isArray(holder)) holder.push(value, value);
      else target[draws.pick(['__proto__x', 'constructor', '', 'x'.repeat(300), 'extra'])] = value;
      break;
    case 2:
      if (typeof value === 'number')
        target[key] = value * draws.pick([-1, 2, 0.5, 1e9, 1e300, 0]) + draws.pick([0, 1, -1]);
      else target[key] = draws.pick(VALUES);
      break;
    case 3: {
      const other = draws.pick(places);
      target[key] = structuredClone((other.holder as Record<string | number, unknown>)[other.key]);
      break;
    }
    case 4: {
      // JSON.stringify recurses: deep nesting is put together as text.
      target[key] = '@nested@';
      const depth = draws.pick([1, 10, 100, 5000]);
      const inner = JSON.stringify(value) ?? 'null';
      return JSON.stringify(root).replace('"@nested@"', () => `${'['.repeat(depth)}${inner}${']'.repeat(depth)}`);
    }
    case 5: {
      // The same key twice, which an object cannot hold.
      const pair = `${JSON.stringify(String(key))}:${JSON.stringify(draws.pick(VALUES))},`;
      return JSON.stringify(root).replace('{', () => `{${pair}`);
    }
    default:
      target[key] = draws.pick(VALUES);
  }
  return JSON.stringify(root) ?? 'null';
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A few changes of a JSON text: mostly of its value, sometimes of its bytes. */
export function mutateJsonText(input: Uint8Array, draws: Draws, others: readonly Uint8Array[]): Uint8Array {
  let current = input;
  for (let changes = 1 + draws.below(4); changes > 0; changes--) {
    current =
      draws.below(4) === 0
        ? mutateBytes(current, draws, others)
        : encoder.encode(mutateJson(decoder.decode(current), draws));
  }
  return current;
}

/** A few changes of bytes. */
export function mutateRaw(input: Uint8Array, draws: Draws, others: readonly Uint8Array[]): Uint8Array {
  let current = input;
  for (let changes = 1 + draws.below(5); changes > 0; changes--) current = mutateBytes(current, draws, others);
  return current;
}

/** JSON lines: one line changed as JSON, or any bytes. */
export function mutateLines(input: Uint8Array, draws: Draws, others: readonly Uint8Array[]): Uint8Array {
  if (draws.below(4) === 0) return mutateRaw(input, draws, others);
  const lines = decoder.decode(input).split('\n');
  const at = draws.below(lines.length);
  lines[at] = mutateJson(lines[at] ?? '', draws);
  return encoder.encode(lines.join('\n'));
}

/** A safetensors file: its header changed as JSON with the right length in front, or any bytes. */
export function mutateSafetensors(input: Uint8Array, draws: Draws, others: readonly Uint8Array[]): Uint8Array {
  if (input.length < 8 || draws.below(3) === 0) return mutateRaw(input, draws, others);
  const length = Number(new DataView(input.buffer, input.byteOffset).getBigUint64(0, true));
  const header = mutateJsonText(input.subarray(8, 8 + Math.min(length, input.length)), draws, others);
  const size = new Uint8Array(8);
  new DataView(size.buffer).setBigUint64(0, BigInt(header.length + (draws.below(10) === 0 ? draws.below(5) : 0)), true);
  return Uint8Array.from([...size, ...header, ...input.subarray(8 + Math.min(length, input.length))]);
}

/** Parts of a tokenizer.json that the library has ended its process for, or might. */
const PARTS: readonly Record<string, unknown>[] = [
  { type: 'Precompiled', precompiled_charsmap: 'AAAA' },
  { type: 'Precompiled', precompiled_charsmap: `QAAAAA${'/'.repeat(86)}YWJj` },
  { type: 'Replace', pattern: { Regex: '(a+)+b' }, content: 'x' },
  { type: 'Replace', pattern: { String: '' }, content: 'aa' },
  { type: 'Split', pattern: { Regex: '(a|aa)+$' }, behavior: 'MergedWithNext', invert: true },
  { type: 'FixedLength', length: 0 },
  { type: 'Strip', content: ' ', start: 4294967295, stop: 1 },
  { type: 'Prepend', prepend: '' },
  { type: 'ByteFallback' },
  { type: 'CTC', pad_token: '', word_delimiter_token: '', cleanup: true },
  { type: 'BertProcessing', sep: ['</s>', 4294967295], cls: ['<s>', 1] },
  { type: 'RobertaProcessing', sep: ['</s>', 2], cls: ['<s>', 1], trim_offsets: true, add_prefix_space: true },
  { type: 'TemplateProcessing', single: [{ SpecialToken: { id: 'gone', type_id: 0 } }], pair: [], special_tokens: {} },
  { type: 'Digits', individual_digits: true },
  { type: 'Punctuation', behavior: 'Contiguous' },
  { type: 'UnicodeScripts' },
  { type: 'Metaspace', replacement: '\u0000', prepend_scheme: 'always', split: false },
  { type: 'Sequence', normalizers: [], pretokenizers: [], processors: [], decoders: [] },
];

/** A tokenizer.json: one of its parts replaced, one of its numbers or texts changed, or any bytes. */
export function mutateTokenizer(input: Uint8Array, draws: Draws, others: readonly Uint8Array[]): Uint8Array {
  if (draws.below(3) === 0) return mutateJsonText(input, draws, others);
  const value = JSON.parse(decoder.decode(input)) as Record<string, unknown>;
  value[draws.pick(['normalizer', 'pre_tokenizer', 'post_processor', 'decoder'])] = draws.pick(PARTS);
  const text = JSON.stringify(value);
  return encoder.encode(draws.below(2) === 0 ? text : mutateJson(text, draws));
}
