/** @file The operators of expressions: arithmetic as Python does it, concatenation, slices. */
import { charactersOf, lengthOf, sliceText } from './characters.ts';
import { TemplateFault } from './faults.ts';
import { formatPercent } from './formatting.ts';
import { escapeMarkup } from './markup.ts';
import type { Meter } from './meter.ts';
import { numberOf, undefinedFault } from './python.ts';
import { isList, Markup, Range, type Slice, Tuple, textOf, typeName, Undefined, type Value } from './values.ts';

/** Operators of two values, comparisons apart. */
export type BinaryOperator = '+' | '-' | '*' | '/' | '//' | '%' | '**';

/** An int of more bits than this is an error: Python could not write it either. */
const MOST_BITS = 16_384;

/** a operator b. Throws TemplateFault where Python has a TypeError or ZeroDivisionError. */
export function binary(meter: Meter, operator: BinaryOperator, a: Value, b: Value): Value {
  const [left, right] = [numberOf(a), numberOf(b)];
  if (left !== undefined && right !== undefined) return arithmetic(meter, operator, left, right);
  const text = textOf(a);
  if (operator === '%' && text !== undefined) return formatPercent(meter, text, b);
  for (const each of [a, b]) if (each instanceof Undefined) throw undefinedFault(each);
  if (operator === '+') return joined(meter, a, b);
  if (operator === '*') {
    const times = typeof right === 'bigint' ? right : typeof left === 'bigint' ? left : undefined;
    if (times !== undefined) return repeated(meter, typeof right === 'bigint' ? a : b, times);
  }
  throw new TemplateFault(`unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);
}

function joined(meter: Meter, a: Value, b: Value): Value {
  const [left, right] = [textOf(a), textOf(b)];
  if (left !== undefined && right !== undefined) {
    if (a instanceof Markup || b instanceof Markup) {
      return new Markup(concatenate(meter, escapeMarkup(meter, a), escapeMarkup(meter, b)));
    }
    return concatenate(meter, left, right);
  }
  if (isList(a) && isList(b)) {
    meter.list(a.length + b.length);
    return [...a, ...b];
  }
  if (a instanceof Tuple && b instanceof Tuple) {
    meter.list(a.items.length + b.items.length);
    return new Tuple([...a.items, ...b.items]);
  }
  if (left !== undefined) throw new TemplateFault(`can only concatenate str (not "${typeName(b)}") to str`);
  throw new TemplateFault(`unsupported operand type(s) for +: '${typeName(a)}' and '${typeName(b)}'`);
}

/** Two texts as one. JavaScript copies nothing before the whole is read, and whoever reads it pays. */
export function concatenate(meter: Meter, a: string, b: string): string {
  const length = a.length + b.length;
  if (length > meter.limits.characters) meter.text(length);
  meter.read(Math.min(length, 256));
  return a + b;
}

function repeated(meter: Meter, value: Value, times: bigint): Value {
  const count = Number(times < 0n ? 0n : times);
  const text = textOf(value);
  if (text !== undefined) {
    meter.text(text.length * count);
    return text === '' ? '' : text.repeat(count);
  }
  const items = value instanceof Tuple ? value.items : value;
  if (!isList(items)) throw new TemplateFault(`can't multiply sequence by non-int of type '${typeName(value)}'`);
  meter.list(items.length * count);
  const all = items.length === 0 ? [] : Array.from({ length: count }, () => items).flat();
  return value instanceof Tuple ? new Tuple(all) : all;
}

function arithmetic(meter: Meter, operator: BinaryOperator, a: bigint | number, b: bigint | number): Value {
  if (typeof a === 'bigint' && typeof b === 'bigint' && operator !== '/') return integers(meter, operator, a, b);
  const [left, right] = [Number(a), Number(b)];
  switch (operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '**':
      return floatPower(left, right);
  }
  if (right === 0) throw new TemplateFault(operator === '%' ? 'float modulo by zero' : 'division by zero');
  switch (operator) {
    case '/':
      return left / right;
    case '//':
      return floorQuotient(left, right);
    case '%':
      return floatRemainder(left, right);
  }
}

function floatPower(a: number, b: number): number {
  if (a === 0 && b < 0) throw new TemplateFault('0.0 cannot be raised to a negative power');
  const power = a ** b;
  if (Number.isFinite(power) || !Number.isFinite(a) || !Number.isFinite(b)) return power;
  throw new TemplateFault(Number.isNaN(power) ? 'complex numbers are not supported' : 'Numerical result out of range');
}

/** What is left after the remainder is taken away, divided: not always the quotient rounded down, in binary. */
function floorQuotient(a: number, b: number): number {
  const quotient = (a - floatRemainder(a, b)) / b;
  return Number.isFinite(quotient) ? Math.round(quotient) : quotient;
}

function floatRemainder(a: number, b: number): number {
  const remainder = a % b;
  if (remainder === 0) return b < 0 ? -0 : 0;
  return remainder < 0 !== b < 0 ? remainder + b : remainder;
}

function integers(meter: Meter, operator: Exclude<BinaryOperator, '/'>, a: bigint, b: bigint): Value {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return checkedSize(meter, a * b);
    case '**':
      return power(meter, a, b);
  }
  if (b === 0n) throw new TemplateFault('integer division or modulo by zero');
  // Python rounds down, JavaScript towards zero.
  const remainder = a % b;
  const isBelow = remainder !== 0n && remainder < 0n !== b < 0n;
  return operator === '%' ? (isBelow ? remainder + b : remainder) : a / b - (isBelow ? 1n : 0n);
}

function power(meter: Meter, a: bigint, b: bigint): Value {
  if (b < 0n) {
    if (a === 0n) throw new TemplateFault('0.0 cannot be raised to a negative power');
    return floatPower(Number(a), Number(b));
  }
  if (a >= -1n && a <= 1n) return a === -1n && b % 2n === 0n ? 1n : b === 0n ? 1n : a;
  const bits = BigInt(a.toString(16).length * 4 - 3) * b;
  if (bits > BigInt(MOST_BITS)) throw new TemplateFault(`an integer of more than ${MOST_BITS} bits`);
  if (bits > 64n) meter.step(200);
  return checkedSize(meter, a ** b);
}

function checkedSize(meter: Meter, value: bigint): bigint {
  if (value < 2n ** 64n && value > -(2n ** 64n)) return value;
  meter.step(500);
  if (value.toString(16).length * 4 <= MOST_BITS) return value;
  throw new TemplateFault(`an integer of more than ${MOST_BITS} bits`);
}

/** Beyond all lengths. */
const FAR = 2 ** 40;

/** +value and -value. */
export function signed(operator: '+' | '-', value: Value): Value {
  const number = numberOf(value);
  if (number !== undefined) return operator === '-' ? -number : number;
  if (value instanceof Undefined) throw undefinedFault(value);
  throw new TemplateFault(`bad operand type for unary ${operator}: '${typeName(value)}'`);
}

/** value[start:stop:step]. Throws TemplateFault. */
export function slice(meter: Meter, value: Value, { start, stop, step }: Slice): Value {
  const text = textOf(value);
  if (text !== undefined) {
    const stride = bounds(start, stop, step, lengthOf(meter, text));
    if (stride.step === 1) return sliceText(meter, text, stride.start, Math.max(stride.start, stride.stop));
    return picked(charactersOf(meter, text), stride).join('');
  }
  if (value instanceof Range) {
    const stride = bounds(start, stop, step, value.length);
    const place = (index: number): number => value.start + index * value.step;
    return new Range(place(stride.start), place(stride.stop), value.step * stride.step);
  }
  const items = value instanceof Tuple ? value.items : value;
  if (!isList(items)) throw new TemplateFault(`'${typeName(value)}' object cannot be sliced`);
  meter.step(items.length);
  const some = picked(items, bounds(start, stop, step, items.length));
  return value instanceof Tuple ? new Tuple(some) : some;
}

interface Stride {
  start: number;
  stop: number;
  step: number;
  count: number;
}

function picked<Item>(items: readonly Item[], { start, stop, step, count }: Stride): Item[] {
  if (step === 1) return items.slice(start, Math.max(start, stop));
  return Array.from({ length: count }, (_, i) => items[start + i * step]).filter((item) => item !== undefined);
}

function bounds(start: Value, stop: Value, step: Value, length: number): Stride {
  const stride = step === null ? 1 : index(step);
  if (stride === 0) throw new TemplateFault('slice step cannot be zero');
  const [low, high] = stride > 0 ? [0, length] : [-1, length - 1];
  const place = (value: Value, otherwise: number): number => {
    if (value === null) return otherwise;
    const at = index(value);
    return Math.min(high, Math.max(low, at < 0 ? at + length : at));
  };
  const from = place(start, stride > 0 ? low : high);
  const to = place(stop, stride > 0 ? high : low);
  const count = Math.max(0, Math.ceil((to - from) / stride));
  return { start: from, stop: to, step: stride, count };
}

function index(value: Value): number {
  const number = numberOf(value);
  if (typeof number === 'bigint') return Math.max(-FAR, Math.min(FAR, Number(number)));
  throw new TemplateFault('slice indices must be integers or None or have an __index__ method');
}
