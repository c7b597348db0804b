/**
 * @file What is reached by a dot and by brackets. By a dot a method comes before a key, by brackets after it; methods that
 * change their object, and names that begin with an underscore, are out of reach, as in Jinja2's immutable sandbox.
 */
import { bind } from './arguments.ts';
import { characterAt } from './characters.ts';
import { TemplateFault } from './faults.ts';
import type { Lookup } from './formatting.ts';
import type { Meter } from './meter.ts';
import { slice } from './operators.ts';
import { representation } from './printing.ts';
import { equal, listOf, numberOf, undefinedFault } from './python.ts';
import { textMethod } from './text-methods.ts';
import {
  type Arguments,
  Dict,
  DictView,
  HostObject,
  isList,
  Markup,
  Namespace,
  orElse,
  Range,
  Slice,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** Methods that change a list or a dict: known, and refused. */
const CHANGING_LIST = ['append', 'clear', 'pop', 'reverse', 'insert', 'sort', 'extend', 'remove'];
const CHANGING_DICT = ['clear', 'pop', 'popitem', 'setdefault', 'update'];

/** value.name */
export function attributeOf(value: Value, name: string): Value {
  if (value instanceof Undefined) throw undefinedFault(value);
  return orElse(ownAttribute(value, name), () => orElse(itemByName(value, name), () => missing(value, name)));
}

/** value[key] */
export function itemOf(meter: Meter, value: Value, key: Value): Value {
  if (value instanceof Undefined) throw undefinedFault(value);
  if (key instanceof Slice) return slice(meter, value, key);
  const item = itemAt(meter, value, key);
  if (item !== undefined) return item;
  const name = textOf(key);
  if (name !== undefined) return onlyAttributeOf(value, name);
  return new Undefined(`${typeName(value)} object has no element ${representation(meter, key)}`);
}

/** The filter `attr`: attributes only, no keys. */
export function onlyAttributeOf(value: Value, name: string): Value {
  return orElse(ownAttribute(value, name), () => missing(value, name));
}

/** For the fields of str.format(). */
export function lookupWith(meter: Meter): Lookup {
  return (value, kind, name) =>
    kind === 'attribute' ? attributeOf(value, textOf(name) ?? '') : itemOf(meter, value, name);
}

function missing(value: Value, name: string): Undefined {
  const shown = name.length > 60 ? `${name.slice(0, 60)}…` : name;
  return new Undefined(`'${describe(value)}' has no attribute '${shown}'`);
}

function describe(value: Value): string {
  return value === null ? 'None' : `${typeName(value)} object`;
}

function itemByName(value: Value, name: string): Value | undefined {
  return value instanceof Dict ? value.get(name) : undefined;
}

function itemAt(meter: Meter, value: Value, key: Value): Value | undefined {
  if (value instanceof Dict) {
    meter.read(textOf(key)?.length ?? 1);
    return value.get(key);
  }
  const at = numberOf(key);
  if (typeof at !== 'bigint') return undefined;
  const text = textOf(value);
  if (text !== undefined) return characterAt(meter, text, Number(at));
  if (value instanceof Range) {
    const index = Number(at < 0n ? at + BigInt(value.length) : at);
    return index >= 0 && index < value.length ? value.at(index) : undefined;
  }
  const items = value instanceof Tuple ? value.items : value;
  return isList(items) ? items.at(Number(at)) : undefined;
}

/** An attribute that Python's object itself has; an Undefined that fails when it is used where the sandbox forbids it. */
function ownAttribute(value: Value, name: string): Value | undefined {
  if (value instanceof HostObject) return name.startsWith('_') ? unsafe(value, name) : value.attribute(name);
  if (value instanceof Namespace) return name.startsWith('_') ? unsafe(value, name) : value.fields.get(name);
  if (name.startsWith('__') && name.endsWith('__')) return unsafe(value, name);
  if (value instanceof Tuple && value.names.includes(name)) return value.items[value.names.indexOf(name)];
  if (isList(value) && CHANGING_LIST.includes(name)) return unsafe(value, name);
  if (value instanceof Dict && CHANGING_DICT.includes(name)) return unsafe(value, name);
  const text = textOf(value);
  if (text !== undefined) {
    const method = textMethod(name);
    return method === undefined
      ? undefined
      : bound(name, (given, meter) => {
          const result = method(meter, text, given, lookupWith(meter));
          return value instanceof Markup ? asMarkup(result) : result;
        });
  }
  if (value instanceof Dict) return dictMethod(value, name);
  if (isList(value)) return listMethod(value, name);
  if (value instanceof Tuple && name !== 'copy') return listMethod(value.items, name);
  if (typeof value === 'number' && name === 'is_integer') return bound(name, () => Number.isInteger(value));
  return undefined;
}

/** What a method of a safe text gives is safe too. */
function asMarkup(result: Value): Value {
  if (typeof result === 'string') return new Markup(result);
  if (isList(result)) return result.map(asMarkup);
  return result instanceof Tuple ? new Tuple(result.items.map(asMarkup)) : result;
}

function unsafe(value: Value, name: string): Undefined {
  return new Undefined(`access to attribute '${name}' of '${typeName(value)}' object is unsafe.`);
}

function bound(name: string, call: (given: Arguments, meter: Meter) => Value): HostObject {
  return new HostObject(`method '${name}'`, call);
}

function dictMethod(dict: Dict, name: string): HostObject | undefined {
  switch (name) {
    case 'get':
      return bound(name, (given, meter) => {
        const [key = null, otherwise = null] = bind(name, given, ['key', 'default'], 1);
        meter.read(textOf(key)?.length ?? 1);
        return orElse(dict.get(key), () => otherwise);
      });
    case 'keys':
    case 'values':
    case 'items':
      return bound(name, (given) => {
        bind(name, given, []);
        return new DictView(name, dict);
      });
    case 'copy':
      return bound(name, () => dict);
    default:
      return undefined;
  }
}

function listMethod(items: readonly Value[], name: string): HostObject | undefined {
  switch (name) {
    case 'index':
      return bound(name, (given, meter) => {
        const [wanted = null] = bind(name, given, ['value'], 1);
        const at = items.findIndex((item) => equal(meter, item, wanted));
        if (at < 0) throw new TemplateFault(`${representation(meter, wanted)} is not in list`);
        return BigInt(at);
      });
    case 'count':
      return bound(name, (given, meter) => {
        const [wanted = null] = bind(name, given, ['value'], 1);
        return BigInt(items.filter((item) => equal(meter, item, wanted)).length);
      });
    case 'copy':
      return bound(name, (_, meter) => listOf(meter, items));
    default:
      return undefined;
  }
}
