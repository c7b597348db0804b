/** @file Python's two ways to put values into a text: "%s" % value and "{}".format(value). */
import { lengthOf, sliceText } from './characters.ts';
import { TemplateFault } from './faults.ts';
import type { Meter } from './meter.ts';
import { floatText, integerText, representation, toText } from './printing.ts';
import { numberOf } from './python.ts';
import { type Arguments, Dict, isList, Range, Tuple, textOf, typeName, Undefined, type Value } from './values.ts';

/** How one value is written. */
interface Spec {
  fill: string;
  align: '<' | '>' | '^' | '=' | '';
  sign: string;
  alternate: boolean;
  width: number;
  grouping: string;
  precision: number | null;
  type: string;
}

const PERCENT = /%(?:\(([^)]*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+)?)?[hlL]?(.)?/gsu;

/** format % values. */
export function formatPercent(meter: Meter, format: string, values: Value): string {
  meter.step(format.length ** 2 / 64); // what a search for the ends of "%(" takes at its worst
  const positional = values instanceof Tuple ? values.items : [values];
  const mapping = values instanceof Dict ? values : null;
  let at = 0;
  let characters = 0;
  const next = (): Value => {
    const value = positional[at];
    if (value === undefined) throw new TemplateFault('not enough arguments for format string');
    at += 1;
    return value;
  };
  const text = format.replaceAll(
    PERCENT,
    (all: string, key: string | undefined, flags: string, width?: string, precision?: string, type?: string) => {
      if (type === undefined) throw new TemplateFault('incomplete format');
      if (type === '%') return '%';
      if (width === '*' || precision === '*') throw new TemplateFault('a width of * is not supported');
      const value = key === undefined ? next() : mapped(mapping, key);
      const spec: Spec = {
        fill: flags.includes('0') && !flags.includes('-') ? '0' : ' ',
        align: flags.includes('-') ? '<' : flags.includes('0') ? '=' : '>',
        sign: flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '',
        alternate: flags.includes('#'),
        width: digits(width),
        grouping: '',
        precision: precision !== undefined ? digits(precision) : all.includes('.') ? 0 : null,
        type,
      };
      const written = percentValue(meter, value, spec);
      characters += written.length;
      meter.text(characters);
      return written;
    },
  );
  // Python takes whatever has items by key or position for a mapping.
  const isMapping = values instanceof Dict || isList(values) || values instanceof Range || values instanceof Undefined;
  if (!isMapping && at < positional.length) {
    throw new TemplateFault('not all arguments converted during string formatting');
  }
  return text;
}

function mapped(mapping: Dict | null, key: string): Value {
  if (mapping === null) throw new TemplateFault('format requires a mapping');
  const value = mapping.get(key);
  if (value === undefined) throw new TemplateFault(`the format has a key that is not there: '${key}'`);
  return value;
}

function percentValue(meter: Meter, value: Value, spec: Spec): string {
  switch (spec.type) {
    case 's':
      return formatText(meter, toText(meter, value), textSpec(spec));
    case 'r':
    case 'a':
      return formatText(meter, representation(meter, value), textSpec(spec));
    case 'c':
      return formatText(meter, character(value), textSpec(spec));
    case 'd':
    case 'i':
    case 'u': {
      const number = numberOf(value);
      if (number === undefined) {
        throw new TemplateFault(`%${spec.type} format: a real number is required, not ${typeName(value)}`);
      }
      const whole = typeof number === 'bigint' ? number : BigInt(Math.trunc(number));
      return formatNumber(meter, whole, { ...spec, type: 'd' });
    }
    case 'x':
    case 'X':
    case 'o': {
      const number = numberOf(value);
      if (typeof number === 'bigint') return formatNumber(meter, number, spec);
      throw new TemplateFault(`%${spec.type} format: an integer is required, not ${typeName(value)}`);
    }
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G': {
      const number = numberOf(value);
      if (number === undefined) throw new TemplateFault(`must be real number, not ${typeName(value)}`);
      return formatNumber(meter, Number(number), spec);
    }
    default:
      throw new TemplateFault(`unsupported format character '${spec.type}'`);
  }
}

function textSpec(spec: Spec): Spec {
  return { ...spec, fill: ' ', align: spec.align === '=' ? '>' : spec.align, type: 's' };
}

function character(value: Value): string {
  const text = textOf(value);
  if (text !== undefined && [...text].length === 1) return text;
  if (typeof value === 'bigint' && value >= 0n && value < 0x110000n) return String.fromCodePoint(Number(value));
  throw new TemplateFault('%c requires int or char');
}

/** Finds a value inside another by the path of a field ("a.b[0]"). */
export type Lookup = (value: Value, kind: 'attribute' | 'item', name: Value) => Value;

/** "{}".format(...). */
export function formatBraces(meter: Meter, format: string, given: Arguments, lookup: Lookup): string {
  meter.text(format.length);
  let automatic = 0;
  const parts: string[] = [];
  let characters = 0;
  const field = (name: string): Value => {
    const [first = '', ...path] = name.match(/^[^.[]+|^(?=[.[]|$)|\.[^.[]*|\[[^\]]*\]?/g) ?? [''];
    const index = first === '' ? automatic++ : /^\d+$/.test(first) ? Number(first) : null;
    let value = index === null ? given.named.get(first) : given.positional[index];
    if (value === undefined) throw new TemplateFault(`format() has no argument for the field '{${name}}'`);
    for (const part of path) {
      const inner = part.startsWith('.') ? part.slice(1) : part.slice(1, -1);
      value = part.startsWith('.')
        ? lookup(value, 'attribute', inner)
        : lookup(value, 'item', /^\d+$/.test(inner) ? BigInt(inner) : inner);
    }
    return value;
  };
  const write = (text: string): void => {
    characters += text.length;
    meter.text(characters);
    parts.push(text);
  };
  for (let at = 0; at < format.length; ) {
    const brace = /[{}]/g;
    brace.lastIndex = at;
    const found = brace.exec(format);
    write(format.slice(at, found?.index));
    if (found === null) break;
    const twice = format.startsWith(found[0] + found[0], found.index);
    if (twice || found[0] === '}') {
      if (!twice) throw new TemplateFault("Single '}' encountered in format string");
      write(found[0]);
      at = found.index + 2;
      continue;
    }
    const end = endOfField(format, found.index + 1);
    write(formatField(meter, format.slice(found.index + 1, end), field));
    at = end + 1;
  }
  return parts.join('');
}

function endOfField(format: string, from: number): number {
  for (let at = from, depth = 0; at < format.length; at++) {
    const letter = format.charAt(at);
    if (letter === '{') depth += 1;
    else if (letter === '}' && depth-- === 0) return at;
  }
  throw new TemplateFault("expected '}' before end of string");
}

function formatField(meter: Meter, inside: string, field: (name: string) => Value): string {
  const colon = inside.indexOf(':');
  const [head, specText] = colon < 0 ? [inside, ''] : [inside.slice(0, colon), inside.slice(colon + 1)];
  const mark = head.indexOf('!');
  const [name, conversion] = mark < 0 ? [head, ''] : [head.slice(0, mark), head.slice(mark + 1)];
  const value = field(name);
  const spec = specText.replaceAll(/\{([^{}]*)\}/g, (_, inner: string) => toText(meter, field(inner)));
  if (conversion === 'r' || conversion === 'a') return formatValue(meter, representation(meter, value), spec);
  if (conversion === 's') return formatValue(meter, toText(meter, value), spec);
  if (conversion !== '') throw new TemplateFault(`Unknown conversion specifier '${conversion}'`);
  return formatValue(meter, value, spec);
}

const SPEC = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?(.)?$/su;

/** format(value, spec). */
function formatValue(meter: Meter, value: Value, specText: string): string {
  if (specText === '') return toText(meter, value);
  const found = SPEC.exec(specText);
  if (found === null) throw new TemplateFault(`Invalid format specifier '${specText.slice(0, 40)}'`);
  const [, fill, align, sign = '', alternate, zero, width, grouping = '', precision, type = ''] = found;
  const spec: Spec = {
    fill: fill ?? (zero === undefined ? ' ' : '0'),
    align: isAlign(align) ? align : zero === undefined ? '' : '=',
    sign,
    alternate: alternate !== undefined,
    width: digits(width),
    grouping,
    precision: precision === undefined ? null : digits(precision),
    type,
  };
  const text = textOf(value);
  if (text !== undefined && (type === '' || type === 's')) return formatText(meter, text, spec);
  const number = numberOf(value);
  if (text === undefined && number !== undefined) {
    return formatNumber(meter, number, spec);
  }
  if (text !== undefined) throw new TemplateFault(`Unknown format code '${type}' for object of type 'str'`);
  throw new TemplateFault(`unsupported format string passed to ${typeName(value)}.__format__`);
}

function isAlign(align: string | undefined): align is '<' | '>' | '^' | '=' {
  return align === '<' || align === '>' || align === '^' || align === '=';
}

function formatText(meter: Meter, text: string, spec: Spec): string {
  const cut = spec.precision === null ? text : sliceText(meter, text, 0, spec.precision);
  return padded(meter, '', cut, { ...spec, align: spec.align === '' ? '<' : spec.align });
}

function formatNumber(meter: Meter, number: bigint | number, spec: Spec): string {
  const isInteger = typeof number === 'bigint' && ['', 'd', 'x', 'X', 'o', 'b', 'c', 'n'].includes(spec.type);
  if (!isInteger && ['d', 'x', 'X', 'o', 'b', 'c'].includes(spec.type)) {
    throw new TemplateFault(`Unknown format code '${spec.type}' for object of type 'float'`);
  }
  const isNegative = typeof number === 'bigint' ? number < 0n : number < 0 || Object.is(number, -0);
  const size = isNegative ? -number : number;
  const body = isInteger ? integerBody(meter, BigInt(size), spec) : floatBody(meter, Number(size), spec);
  const sign = isNegative ? '-' : spec.sign === '-' ? '' : spec.sign;
  return padded(meter, sign, grouped(body, spec.grouping), { ...spec, align: spec.align === '' ? '>' : spec.align });
}

function integerBody(meter: Meter, size: bigint, { type, alternate }: Spec): string {
  switch (type) {
    case 'x':
      return (alternate ? '0x' : '') + size.toString(16);
    case 'X':
      return (alternate ? '0X' : '') + size.toString(16).toUpperCase();
    case 'o':
      return (alternate ? '0o' : '') + size.toString(8);
    case 'b':
      return (alternate ? '0b' : '') + size.toString(2);
    case 'c':
      return character(size);
    default:
      return integerText(meter, size);
  }
}

function floatBody(meter: Meter, size: number, { type, precision }: Spec): string {
  if (!Number.isFinite(size)) return Number.isNaN(size) ? 'nan' : 'inf';
  const places = precision ?? 6;
  if (places > 100) throw new TemplateFault('a precision of more than 100 digits is not supported');
  meter.step(places);
  switch (type) {
    case 'f':
    case 'F':
      return fixed(size, places);
    case '%':
      return `${fixed(size * 100, places)}%`;
    case 'e':
      return exponential(size, places);
    case 'E':
      return exponential(size, places).toUpperCase();
    case '':
      return precision === null ? floatText(size) : general(size, places, true);
    case 'g':
    case 'n':
      return general(size, places, false);
    case 'G':
      return general(size, places, false).toUpperCase();
    default:
      throw new TemplateFault(`Unknown format code '${type}' for object of type 'float'`);
  }
}

function exponential(size: number, places: number): string {
  return size.toExponential(places).replace(/e([+-])(\d)$/, 'e$10$2');
}

function general(size: number, places: number, keepsPoint: boolean): string {
  const significant = Math.max(1, places);
  const power = Number(size.toExponential(significant - 1).split('e')[1]);
  const isShort = power >= -4 && power < significant - (keepsPoint ? 1 : 0);
  const digitsOnly = isShort ? fixed(size, significant - 1 - power) : exponential(size, significant - 1);
  const [body = '', exponent] = digitsOnly.split('e');
  const trimmed = body.includes('.') ? body.replace(/\.?0+$/, '') : body;
  const point = keepsPoint && isShort && !trimmed.includes('.') ? '.0' : '';
  return trimmed + point + (exponent === undefined ? '' : `e${exponent}`);
}

/**
 * The number with so many digits after the point, ties to the even digit. JavaScript's toFixed rounds the exact value, as Python
 * does, but ties away from zero, and gives up at 1e21.
 */
export function fixed(size: number, places: number): string {
  if (size >= 1e21) {
    const whole = BigInt(size).toString();
    return places === 0 ? whole : `${whole}.${'0'.repeat(places)}`;
  }
  const text = size.toFixed(places);
  // A tie has one exact digit more than is asked for: 5.
  const exact = places < 90 ? size.toFixed(places + 1) : '';
  const isTie = exact.endsWith('5') && places < 22 && Number(exact) === size && isExact(size, places + 1);
  if (!isTie || Number(text.at(-1)) % 2 === 0) return text;
  return exact.slice(0, -1).replace(/\.$/, '');
}

/** Whether the number is exactly a decimal of so many places: size * 10^places is whole in binary too. */
function isExact(size: number, places: number): boolean {
  const whole = Math.trunc(size);
  // The fraction times 2^places must be whole: 10^places is 2^places * 5^places.
  return Number.isInteger((size - whole) * 2 ** places);
}

function grouped(body: string, grouping: string): string {
  if (grouping === '') return body;
  const [, whole = '', rest = ''] = /^(\d*)(.*)$/s.exec(body) ?? [];
  const first = whole.length % 3 || 3;
  const groups = [whole.slice(0, first)];
  for (let at = first; at < whole.length; at += 3) groups.push(whole.slice(at, at + 3));
  return groups.join(grouping) + rest;
}

function padded(meter: Meter, sign: string, body: string, { fill, align, width }: Spec): string {
  const missing = width - lengthOf(meter, sign + body);
  if (missing <= 0) return sign + body;
  meter.text(width);
  const left = Math.floor(missing / 2);
  switch (align) {
    case '<':
      return sign + body + fill.repeat(missing);
    case '^':
      return fill.repeat(left) + sign + body + fill.repeat(missing - left);
    case '=':
      return sign + fill.repeat(missing) + body;
    default:
      return fill.repeat(missing) + sign + body;
  }
}

function digits(text: string | undefined): number {
  return text === undefined ? 0 : Number(text.slice(0, 12));
}
