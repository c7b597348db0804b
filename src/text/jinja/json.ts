/** @file json.dumps: the filter tojson. */
import { compareTexts } from './characters.ts';
import { TemplateFault } from './faults.ts';
import type { Meter } from './meter.ts';
import { floatText, integerText, Writer } from './printing.ts';
import { Dict, isList, Tuple, textOf, typeName, type Value } from './values.ts';

/** Options of the filter tojson, as json.dumps has them. */
export interface JsonOptions {
  ascii: boolean;
  indent: string | null;
  separators: [item: string, key: string];
  sortKeys: boolean;
}

/** json.dumps(value). Throws TemplateFault for what JSON has no form of. */
export function toJson(meter: Meter, value: Value, options: JsonOptions): string {
  const writer = new Writer(meter);
  writeJson(writer, value, options, 0);
  return writer.text();
}

function writeJson(writer: Writer, value: Value, options: JsonOptions, depth: number): void {
  const { meter } = writer;
  const text = textOf(value);
  const simple = text === undefined ? jsonNumber(meter, value) : jsonText(meter, text, options.ascii);
  if (simple !== null) {
    writer.write(simple);
    return;
  }
  const brackets = value instanceof Dict ? ['{', '}'] : ['[', ']'];
  const newLine = (level: number): void => {
    if (options.indent === null) return;
    meter.text(options.indent.length * level);
    writer.write(`\n${options.indent.repeat(level)}`);
  };
  meter.enter();
  meter.step(5);
  writer.write(brackets[0] ?? '');
  let isFirst = true;
  for (const [item, key] of jsonItems(value, options)) {
    if (!isFirst) writer.write(options.separators[0]);
    isFirst = false;
    newLine(depth + 1);
    if (key !== undefined) writer.write(jsonText(meter, jsonKey(meter, key), options.ascii) + options.separators[1]);
    writeJson(writer, item, options, depth + 1);
  }
  if (!isFirst) newLine(depth);
  writer.write(brackets[1] ?? '');
  meter.leave();
}

/** The items of a list, or those of a dict with their keys. */
function* jsonItems(value: Value, { sortKeys }: JsonOptions): Generator<[item: Value, key: Value | undefined]> {
  if (value instanceof Dict) {
    const pairs = sortKeys ? sorted([...value.entries()]) : value.entries();
    for (const [key, item] of pairs) yield [item, key];
    return;
  }
  const items = value instanceof Tuple ? value.items : value;
  if (!isList(items)) throw new TemplateFault(`Object of type ${typeName(items)} is not JSON serializable`);
  for (const item of items) yield [item, undefined];
}

function jsonNumber(meter: Meter, value: Value): string | null {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'bigint') return integerText(meter, value);
  if (typeof value !== 'number') return null;
  if (Number.isFinite(value)) return floatText(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
}

function jsonKey(meter: Meter, key: Value): string {
  const text = textOf(key) ?? jsonNumber(meter, key);
  if (text !== null) return text;
  throw new TemplateFault(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

const JSON_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\f': '\\f',
  '\b': '\\b',
};

function jsonText(meter: Meter, text: string, ascii: boolean): string {
  meter.text(text.length);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON escapes them.
  const special = ascii ? /["\\\u0000-\u001f\u0080-\uffff]/g : /["\\\u0000-\u001f]/g;
  const escaped = text.replace(special, (character) => {
    const code = character.charCodeAt(0).toString(16).padStart(4, '0');
    return JSON_ESCAPES[character] ?? `\\u${code}`;
  });
  meter.step(escaped.length - text.length);
  return `"${escaped}"`;
}

/** By key, as Python sorts them: texts only. */
function sorted(pairs: [Value, Value][]): [Value, Value][] {
  return pairs.sort(([a], [b]) => {
    const [left, right] = [textOf(a), textOf(b)];
    if (left !== undefined && right !== undefined) return compareTexts(left, right);
    throw new TemplateFault(`'<' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
  });
}
