/** @file Filters that make numbers. */
import { bind, integerOr, textOrNull } from './arguments.ts';
import { strip } from './characters.ts';
import { TemplateFault } from './faults.ts';
import type { Filter } from './filter.ts';
import { fixed } from './formatting.ts';
import { signed } from './operators.ts';
import { numberOf, undefinedFault } from './python.ts';
import { textOf, typeName, Undefined, type Value } from './values.ts';

export const numberFilters: Readonly<Record<string, Filter>> = {
  abs(_, value, given) {
    bind('abs', given, []);
    const number = numberOf(value);
    if (number !== undefined) return number < 0 ? signed('-', number) : number;
    if (value instanceof Undefined) throw undefinedFault(value);
    throw new TemplateFault(`bad operand type for abs(): '${typeName(value)}'`);
  },
  int({ meter }, value, given) {
    const [otherwise = 0n, base] = bind('int', given, ['default', 'base']);
    meter.step((textOf(value)?.length ?? 1) / 2);
    return toInteger(value, integerOr('int', base, 10)) ?? otherwise;
  },
  float({ meter }, value, given) {
    const [otherwise = 0] = bind('float', given, ['default']);
    meter.step((textOf(value)?.length ?? 1) / 2);
    return toFloat(value) ?? otherwise;
  },
  round(_, value, given) {
    const [precision, method] = bind('round', given, ['precision', 'method']);
    const places = integerOr('round', precision, 0);
    const way = textOrNull('round', method) ?? 'common';
    const number = numberOf(value);
    if (number === undefined) {
      if (value instanceof Undefined) throw undefinedFault(value);
      throw new TemplateFault(`type ${typeName(value)} doesn't define __round__ method`);
    }
    if (Math.abs(places) > 300) throw new TemplateFault('a precision of more than 300 digits is not supported');
    switch (way) {
      case 'common':
        return typeof number === 'bigint' ? roundInteger(number, places) : roundFloat(number, places);
      case 'ceil':
        return whole(Math.ceil(Number(number) * 10 ** places)) / 10 ** places;
      case 'floor':
        return whole(Math.floor(Number(number) * 10 ** places)) / 10 ** places;
      default:
        throw new TemplateFault('method must be common, ceil or floor');
    }
  },
};

/** As an int of Python's, which knows neither infinity nor a negative zero. */
function whole(value: number): number {
  if (!Number.isFinite(value)) throw new TemplateFault('cannot convert float infinity or NaN to integer');
  return value === 0 ? 0 : value;
}

/** int(value), as the filter has it: a text of a float counts; undefined where there is none. */
function toInteger(value: Value, base: number): Value | undefined {
  if (value instanceof Undefined) throw undefinedFault(value);
  const number = numberOf(value);
  if (typeof number === 'bigint') return number;
  const text = textOf(value);
  const integer = text === undefined ? undefined : integerOfText(text, base);
  if (integer !== undefined) return integer;
  const float = number ?? (text === undefined ? undefined : toFloat(text));
  return typeof float === 'number' && Number.isFinite(float) ? BigInt(Math.trunc(float)) : undefined;
}

const DIGITS: Readonly<Record<number, RegExp>> = {
  2: /^([-+]?)(?:0b_?)?([01]+(?:_[01]+)*)$/i,
  8: /^([-+]?)(?:0o_?)?([0-7]+(?:_[0-7]+)*)$/i,
  10: /^([-+]?)(\d+(?:_\d+)*)$/,
  16: /^([-+]?)(?:0x_?)?([\da-f]+(?:_[\da-f]+)*)$/i,
};

const PREFIX: Readonly<Record<number, string>> = { 2: '0b', 8: '0o', 10: '', 16: '0x' };

function integerOfText(text: string, base: number): bigint | undefined {
  const pattern = DIGITS[base];
  if (pattern === undefined) throw new TemplateFault(`int() with base ${base} is not supported: 2, 8, 10 and 16 are`);
  const stripped = strip(text, null, 'both');
  if (stripped.length > 4300) return undefined;
  const found = pattern.exec(stripped);
  const digits = found?.at(-1)?.replaceAll('_', '');
  if (found === null || digits === undefined) return undefined;
  const size = BigInt(`${PREFIX[base] ?? ''}${digits}`);
  return found[1] === '-' ? -size : size;
}

const FLOAT = /^[-+]?(?:\d+(?:_\d+)*(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:e[-+]?\d+(?:_\d+)*)?$/;

/** float(value), undefined where there is none. */
function toFloat(value: Value): number | undefined {
  if (value instanceof Undefined) throw undefinedFault(value);
  const number = numberOf(value);
  if (number !== undefined) return Number(number);
  const text = textOf(value);
  if (text === undefined || text.length > 10_000) return undefined;
  const stripped = strip(text, null, 'both').toLowerCase();
  const special = /^([-+]?)(inf|infinity|nan)$/.exec(stripped);
  if (special !== null) return special[2] === 'nan' ? Number.NaN : special[1] === '-' ? -Infinity : Infinity;
  return FLOAT.test(stripped) ? Number(stripped.replaceAll('_', '')) : undefined;
}

/** round(value, places): ties to the even digit, of the number's exact value. */
function roundFloat(value: number, places: number): number {
  if (!Number.isFinite(value) || places > 100) return value;
  const size = Math.abs(value);
  const rounded = places >= 0 ? Number(fixed(size, places)) : Number(roundInteger(BigInt(Math.round(size)), places));
  return value < 0 || Object.is(value, -0) ? -rounded : rounded;
}

function roundInteger(value: bigint, places: number): bigint {
  if (places >= 0) return value;
  const unit = 10n ** BigInt(-places);
  const size = value < 0n ? -value : value;
  const [units, twice] = [size / unit, (size % unit) * 2n];
  const rounded = (twice > unit || (twice === unit && units % 2n === 1n) ? units + 1n : units) * unit;
  return value < 0n ? -rounded : rounded;
}
