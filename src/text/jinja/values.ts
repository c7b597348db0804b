/**
 * @file The values of a template. Python's None, bool, int, float and str are null, boolean, bigint, number and string, its
 * list is an array; the others are the classes below. Nothing but a namespace changes once it is made: the sandbox of
 * transformers allows no more.
 */
import type { Meter } from './meter.ts';

export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | readonly Value[]
  | Tuple
  | Dict
  | DictView
  | Range
  | Lazy
  | Slice
  | Namespace
  | Undefined
  | Markup
  | HostObject;

/** What a dict can have as a key. Equal keys of Python (1, 1.0 and True) are equal here. */
type Key = string | bigint | number | null;

/** Python's tuple; a group of `groupby` has names for its two items. */
export class Tuple {
  readonly items: readonly Value[];
  readonly names: readonly string[];

  constructor(items: readonly Value[], names: readonly string[] = []) {
    this.items = items;
    this.names = names;
  }
}

/** Python's dict: in the order of insertion. */
export class Dict {
  readonly #entries = new Map<Key, [Value, Value]>();

  get size(): number {
    return this.#entries.size;
  }

  get(key: Value): Value | undefined {
    const own = keyOf(key);
    return own === undefined ? undefined : this.#entries.get(own)?.[1];
  }

  /** Only while it is made. False where the key has no hash (a list, for one). */
  set(key: Value, value: Value): boolean {
    const own = keyOf(key);
    if (own === undefined) return false;
    this.#entries.set(own, [this.#entries.get(own)?.[0] ?? key, value]);
    return true;
  }

  entries(): IterableIterator<[Value, Value]> {
    return this.#entries.values();
  }
}

/** dict.keys(), values() and items(). */
export class DictView {
  readonly kind: 'keys' | 'values' | 'items';
  readonly dict: Dict;

  constructor(kind: 'keys' | 'values' | 'items', dict: Dict) {
    this.kind = kind;
    this.dict = dict;
  }

  *values(): Generator<Value> {
    for (const [key, value] of this.dict.entries()) {
      yield this.kind === 'items' ? new Tuple([key, value]) : this.kind === 'keys' ? key : value;
    }
  }
}

/** Python's range: whole numbers from start to before stop. */
export class Range {
  readonly start: number;
  readonly stop: number;
  readonly step: number;
  readonly length: number;

  constructor(start: number, stop: number, step: number) {
    this.start = start;
    this.stop = stop;
    this.step = step;
    this.length = Math.max(0, Math.ceil((stop - start) / step));
  }

  at(index: number): bigint {
    return BigInt(this.start + index * this.step);
  }
}

/** What `map`, `select` and their like give: made while it is read, and read once. */
export class Lazy {
  readonly iterator: Iterator<Value>;

  constructor(iterator: Iterator<Value>) {
    this.iterator = iterator;
  }
}

/** start:stop:step between brackets. */
export class Slice {
  readonly start: Value;
  readonly stop: Value;
  readonly step: Value;

  constructor(start: Value, stop: Value, step: Value) {
    this.start = start;
    this.stop = stop;
    this.step = step;
  }
}

/** What `namespace()` makes: the one thing that a template can change. */
export class Namespace {
  readonly fields = new Map<string, Value>();
}

/** A name or an attribute that is not there; what is done with it beyond printing fails with the message. */
export class Undefined {
  readonly message: string;
  /** The name, where it is a variable. */
  readonly variable: string | null;

  constructor(message: string, variable: string | null = null) {
    this.message = message;
    this.variable = variable;
  }
}

/** A text that `safe` or `escape` made: what is added to it is escaped. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Arguments of a call. */
export interface Arguments {
  positional: readonly Value[];
  named: ReadonlyMap<string, Value>;
}

/** A function, a macro, `loop` and the like. */
export class HostObject {
  readonly typeName: string;
  readonly call: ((given: Arguments, meter: Meter) => Value) | null;
  readonly attribute: (name: string) => Value | undefined;

  constructor(
    typeName: string,
    call: ((given: Arguments, meter: Meter) => Value) | null,
    attribute: (name: string) => Value | undefined = () => undefined,
  ) {
    this.typeName = typeName;
    this.call = call;
    this.attribute = attribute;
  }
}

/** No arguments. */
export const NO_ARGUMENTS: Arguments = { positional: [], named: new Map() };

/** The value, or what stands for it where there is none. (None is a value, and `??` would take it for none.) */
export function orElse(value: Value | undefined, otherwise: () => Value): Value {
  return value === undefined ? otherwise() : value;
}

/** Whether a value is a list: TypeScript's own narrowing loses read-only arrays. */
export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** The text of a str, safe or not; undefined for other values. */
export function textOf(value: Value): string | undefined {
  if (typeof value === 'string') return value;
  return value instanceof Markup ? value.text : undefined;
}

/** The name that Python's messages have for the type. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (isList(value)) return 'list';
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'bigint':
      return 'int';
    case 'number':
      return 'float';
    case 'string':
      return 'str';
  }
  if (value instanceof HostObject) return value.typeName;
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Dict) return 'dict';
  if (value instanceof DictView) return `dict_${value.kind}`;
  if (value instanceof Range) return 'range';
  if (value instanceof Lazy) return 'generator';
  if (value instanceof Slice) return 'slice';
  if (value instanceof Namespace) return 'Namespace';
  return value instanceof Markup ? 'Markup' : 'Undefined';
}

/** Undefined where the value has no hash. */
function keyOf(key: Value): Key | undefined {
  if (key === null || typeof key === 'string' || typeof key === 'bigint') return key;
  if (typeof key === 'boolean') return BigInt(key);
  if (typeof key === 'number') return Number.isInteger(key) ? BigInt(key) : key;
  if (key instanceof Markup) return key.text;
  if (key instanceof Undefined) return '\u0000undefined';
  if (!(key instanceof Tuple)) return undefined;
  const parts = key.items.map(keyOf);
  if (parts.includes(undefined)) return undefined;
  const spelled = parts.map((part) => `${typeof part}:${String(part).length}:${String(part)}`);
  return `\u0000tuple(${spelled.join(',')})`;
}

/** JSON's values as a template's: whole numbers are ints (1.0 and 1 are the same to JSON in JavaScript). */
export function fromJson(meter: Meter, json: unknown): Value {
  meter.step();
  if (json === null || typeof json === 'string' || typeof json === 'boolean') return json;
  if (typeof json === 'number') return Number.isInteger(json) ? BigInt(json) : json;
  if (Array.isArray(json)) return json.map((item) => fromJson(meter, item));
  if (typeof json !== 'object') return new Undefined(`a ${typeof json} is not a value of JSON`);
  const dict = new Dict();
  for (const [name, item] of Object.entries(json)) if (item !== undefined) dict.set(name, fromJson(meter, item));
  return dict;
}
