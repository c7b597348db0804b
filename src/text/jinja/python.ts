/** @file What Python does with values: truth, length, iteration, equality, order, and how they are written. */
import { compareTexts, lengthOf } from './characters.ts';
import { TemplateFault } from './faults.ts';
import type { Meter } from './meter.ts';
import { includes } from './search.ts';
import type { Value } from './values.ts';
import {
  Dict,
  DictView,
  HostObject,
  isList,
  Lazy,
  Range,
  Slice,
  Tuple,
  textOf,
  typeName,
  Undefined,
} from './values.ts';

/** bool(value). */
export function truth(value: Value): boolean {
  if (value === null || value === false || value === '' || value === 0n || value === 0) return false;
  if (isList(value)) return value.length > 0;
  if (typeof value !== 'object') return true;
  return !(value instanceof Undefined) && (length(null, value) ?? 1) > 0;
}

/** len(value). Throws TemplateFault where there is none. */
export function lengthOrFault(meter: Meter, value: Value): bigint {
  const found = length(meter, value);
  if (found === null) throw new TemplateFault(`object of type '${typeName(value)}' has no len()`);
  return BigInt(found);
}

/** len(value), or null; without a meter, texts are counted in JavaScript's way (enough for bool()). */
export function length(meter: Meter | null, value: Value): number | null {
  if (isList(value)) return value.length;
  const text = textOf(value);
  if (text !== undefined) return meter === null ? text.length : lengthOf(meter, text);
  if (value instanceof Tuple) return value.items.length;
  if (value instanceof Dict) return value.size;
  if (value instanceof DictView) return value.dict.size;
  if (value instanceof Range) return value.length;
  if (value instanceof HostObject) {
    const own = value.attribute('length');
    return value.typeName === 'LoopContext' && typeof own === 'bigint' ? Number(own) : null;
  }
  return value instanceof Undefined ? 0 : null;
}

/** Whether a loop can go over it. */
export function isIterable(value: Value): boolean {
  if (value instanceof HostObject) return value.typeName === 'LoopContext';
  return value instanceof Lazy || length(null, value) !== null;
}

/** The items that a loop sees, each paid for when it is reached. Throws TemplateFault. */
export function* iterate(meter: Meter, value: Value): Generator<Value> {
  for (const item of itemsOf(meter, value)) {
    meter.step(2);
    yield item;
  }
}

function itemsOf(meter: Meter, value: Value): Iterable<Value> {
  if (isList(value)) return value;
  const text = textOf(value);
  if (text !== undefined) return text; // JavaScript goes through code points too
  if (value instanceof Tuple) return value.items;
  if (value instanceof Dict) return new DictView('keys', value).values();
  if (value instanceof DictView) return value.values();
  if (value instanceof Range) return rangeItems(meter, value);
  // No `return`: whoever stops early leaves the rest to the next reader.
  if (value instanceof Lazy) return { [Symbol.iterator]: () => ({ next: () => value.iterator.next() }) };
  if (value instanceof Undefined) return [];
  throw new TemplateFault(`'${typeName(value)}' object is not iterable`);
}

function* rangeItems(meter: Meter, range: Range): Generator<Value> {
  for (let i = 0; i < range.length; i++) {
    meter.step(2); // each is made
    yield range.at(i);
  }
}

/** list(value). */
export function listOf(meter: Meter, value: Value): readonly Value[] {
  if (isList(value)) return value;
  const items: Value[] = [];
  for (const item of iterate(meter, value)) {
    if (items.length >= meter.limits.items) meter.list(items.length + 1);
    items.push(item);
  }
  return items;
}

/** A number of Python's: booleans are ints. */
export function numberOf(value: Value): bigint | number | undefined {
  if (typeof value === 'boolean') return BigInt(value);
  return typeof value === 'bigint' || typeof value === 'number' ? value : undefined;
}

/** a == b. */
export function equal(meter: Meter, a: Value, b: Value): boolean {
  meter.step();
  const [left, right] = [numberOf(a), numberOf(b)];
  // biome-ignore lint/suspicious/noDoubleEquals: 1n == 1, compared exactly.
  if (left !== undefined && right !== undefined) return left == right;
  const [text, other] = [textOf(a), textOf(b)];
  if (text !== undefined && other !== undefined) {
    if (text.length === other.length) meter.read(text.length);
    return text === other;
  }
  if (isList(a)) return isList(b) && equalItems(meter, a, b);
  if (a instanceof Tuple) return b instanceof Tuple && equalItems(meter, a.items, b.items);
  if (a instanceof Dict) return b instanceof Dict && equalDicts(meter, a, b);
  if (a instanceof Range && b instanceof Range)
    return equalItems(meter, [...rangeItems(meter, a)], [...rangeItems(meter, b)]);
  if (a instanceof Undefined) return b instanceof Undefined;
  return a === b;
}

function equalItems(meter: Meter, a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && meter.nested(() => a.every((item, i) => equal(meter, item, b[i] ?? null)));
}

function equalDicts(meter: Meter, a: Dict, b: Dict): boolean {
  if (a.size !== b.size) return false;
  return meter.nested(() =>
    [...a.entries()].every(([key, value]) => {
      const other = b.get(key);
      return other !== undefined && equal(meter, value, other);
    }),
  );
}

/** Less than zero, zero, or more: the order of a and b; NaN where a number is NaN. Throws TemplateFault for unlike types. */
export function order(meter: Meter, a: Value, b: Value, operator = '<'): number {
  meter.step();
  const [left, right] = [numberOf(a), numberOf(b)];
  if (left !== undefined && right !== undefined) {
    if (Number.isNaN(left) || Number.isNaN(right)) return Number.NaN;
    return left < right ? -1 : left > right ? 1 : 0;
  }
  const [text, other] = [textOf(a), textOf(b)];
  if (text !== undefined && other !== undefined) {
    meter.read(Math.min(text.length, other.length));
    return compareTexts(text, other);
  }
  if (isList(a) && isList(b)) return orderItems(meter, a, b, operator);
  if (a instanceof Tuple && b instanceof Tuple) return orderItems(meter, a.items, b.items, operator);
  for (const each of [a, b]) if (each instanceof Undefined) throw undefinedFault(each);
  throw new TemplateFault(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

function orderItems(meter: Meter, a: readonly Value[], b: readonly Value[], operator: string): number {
  return meter.nested(() => {
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      const [left = null, right = null] = [a[i], b[i]];
      if (!equal(meter, left, right)) return order(meter, left, right, operator);
    }
    return a.length - b.length;
  });
}

/** item in container. */
export function contains(meter: Meter, container: Value, item: Value): boolean {
  const text = textOf(container);
  if (text !== undefined) {
    const wanted = textOf(item);
    if (wanted !== undefined) return includes(meter, text, wanted);
    throw new TemplateFault(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  const dict = container instanceof DictView && container.kind === 'keys' ? container.dict : container;
  if (dict instanceof Dict) {
    checkHash(item);
    meter.read(textOf(item)?.length ?? 1);
    return dict.get(item) !== undefined;
  }
  if (!isIterable(container)) throw new TemplateFault(`argument of type '${typeName(container)}' is not iterable`);
  for (const each of iterate(meter, container)) if (equal(meter, each, item)) return true;
  return false;
}

/** Throws TemplateFault where a value cannot be a key. */
export function checkHash(key: Value): void {
  if (isList(key) || key instanceof Dict || key instanceof Slice) {
    throw new TemplateFault(`unhashable type: '${typeName(key)}'`);
  }
  if (key instanceof Tuple) for (const item of key.items) checkHash(item);
}

/** What is thrown where an undefined value is used. */
export function undefinedFault({ message, variable }: Undefined): TemplateFault {
  if (variable !== 'strftime_now') return new TemplateFault(message);
  return new TemplateFault(
    'it calls strftime_now, which gives the date of today, and a prompt must not depend on the day it is made: write the date into the template, or ask whether "strftime_now is defined" before',
  );
}
