/** @file How Python writes values: str(value) and repr(value). */
import { TemplateFault } from './faults.ts';
import type { Meter } from './meter.ts';
import {
  Dict,
  DictView,
  HostObject,
  isList,
  Markup,
  Namespace,
  Range,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** Digits of the longest int that Python writes. */
const MOST_DIGITS = 4300;

/** str(value): what `{{ value }}` writes. */
export function toText(meter: Meter, value: Value): string {
  const text = textOf(value);
  if (text !== undefined) return text;
  return value instanceof Undefined ? '' : representation(meter, value);
}

/** repr(value). */
export function representation(meter: Meter, value: Value): string {
  const writer = new Writer(meter);
  writeRepresentation(writer, value);
  return writer.text();
}

/** Pieces of a text, each paid for. */
export class Writer {
  readonly meter: Meter;
  readonly #parts: string[] = [];
  #characters = 0;

  constructor(meter: Meter) {
    this.meter = meter;
  }

  write(text: string): void {
    this.#characters += text.length;
    if (this.#characters > this.meter.limits.characters) this.meter.text(this.#characters);
    this.meter.read(text.length);
    this.#parts.push(text);
  }

  text(): string {
    return this.#parts.join('');
  }
}

function writeRepresentation(writer: Writer, value: Value): void {
  const simple = simpleRepresentation(writer.meter, value);
  if (simple !== null) {
    writer.write(simple);
    return;
  }
  const { open, items, close } = partsOf(value);
  writer.meter.step(5);
  writer.meter.enter();
  writer.write(open);
  let isFirst = true;
  for (const item of items) {
    if (!isFirst) writer.write(', ');
    isFirst = false;
    for (const [i, part] of item.entries()) {
      if (i > 0) writer.write(': ');
      writeRepresentation(writer, part);
    }
  }
  writer.write(close);
  writer.meter.leave();
}

/** What stands around a value's items, and the items: a value each, or a key and a value. */
function partsOf(value: Value): { open: string; items: Iterable<readonly Value[]>; close: string } {
  if (isList(value)) return { open: '[', items: singly(value), close: ']' };
  if (value instanceof Tuple) {
    return { open: '(', items: singly(value.items), close: value.items.length === 1 ? ',)' : ')' };
  }
  if (value instanceof Dict) return { open: '{', items: value.entries(), close: '}' };
  if (value instanceof DictView) return { open: `dict_${value.kind}([`, items: singly(value.values()), close: '])' };
  if (value instanceof Namespace) return { open: '<Namespace {', items: fieldsOf(value), close: '}>' };
  throw new TemplateFault(`it writes a ${typeName(value)} as it is, which has no text of its own`);
}

function* singly(items: Iterable<Value>): Generator<readonly Value[]> {
  for (const item of items) yield [item];
}

function* fieldsOf(namespace: Namespace): Generator<readonly Value[]> {
  yield* namespace.fields;
}

function simpleRepresentation(meter: Meter, value: Value): string | null {
  if (value === null) return 'None';
  switch (typeof value) {
    case 'boolean':
      return value ? 'True' : 'False';
    case 'bigint':
      return integerText(meter, value);
    case 'number':
      return floatText(value);
    case 'string':
      return quoted(meter, value);
  }
  if (value instanceof Markup) return `Markup(${quoted(meter, value.text)})`;
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Range) {
    const { start, stop, step } = value;
    return `range(${start}, ${stop}${step === 1 ? '' : `, ${step}`})`;
  }
  if (value instanceof HostObject && value.typeName === 'LoopContext') {
    return `<LoopContext ${String(value.attribute('index'))}/${String(value.attribute('length'))}>`;
  }
  return null;
}

/** The digits of an int. */
export function integerText(meter: Meter, value: bigint): string {
  if (value < 1_000_000_000n && value > -1_000_000_000n) return String(value);
  meter.step(1000);
  const text = String(value);
  if (text.length > MOST_DIGITS + (value < 0n ? 1 : 0)) {
    throw new TemplateFault(`an integer of more than ${MOST_DIGITS} digits cannot be written`);
  }
  return text;
}

/** repr of a float: the shortest digits that give it back, and always a sign of being a float. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const [digits = '', exponent = '0'] = value.toExponential().split('e');
  const power = Number(exponent);
  if (power < -4 || power >= 16) {
    return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  }
  const sign = digits.startsWith('-') ? '-' : '';
  const all = digits.replaceAll(/[-.]/g, '');
  if (power < 0) return `${sign}0.${'0'.repeat(-power - 1)}${all}`;
  const whole = all.slice(0, power + 1).padEnd(power + 1, '0');
  return `${sign}${whole}.${all.slice(power + 1) || '0'}`;
}

const PLAIN_QUOTED = /^[ !#-&(-[\]-~]*$/;

function quoted(meter: Meter, text: string): string {
  meter.text(text.length);
  if (PLAIN_QUOTED.test(text)) return `'${text}'`;
  meter.step(text.length);
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  return quote + Array.from(text, (character) => escaped(character, quote)).join('') + quote;
}

const NAMED_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' };

function escaped(character: string, quote: string): string {
  const named = NAMED_ESCAPES[character];
  if (named !== undefined) return named;
  if (character === quote) return `\\${quote}`;
  if (character === ' ' || !isUnprintable(character)) return character;
  const code = (character.codePointAt(0) ?? 0).toString(16);
  if (code.length <= 2) return `\\x${code.padStart(2, '0')}`;
  return code.length <= 4 ? `\\u${code.padStart(4, '0')}` : `\\U${code.padStart(8, '0')}`;
}

/** Whether str.isprintable() says no (a space apart). */
export function isUnprintable(character: string): boolean {
  return /[\p{C}\p{Z}]/u.test(character);
}
