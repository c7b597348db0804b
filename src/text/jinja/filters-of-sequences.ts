/** @file Filters of lists, dicts and everything else that can be iterated. */
import { bind, integer, text, textOrNull } from './arguments.ts';
import { itemOf, onlyAttributeOf } from './attributes.ts';
import { TemplateFault } from './faults.ts';
import type { Filter, FilterContext } from './filter.ts';
import type { Meter } from './meter.ts';
import { binary } from './operators.ts';
import { toText } from './printing.ts';
import { equal, iterate, lengthOrFault, listOf, order, truth, undefinedFault } from './python.ts';
import { joinTexts } from './text-methods.ts';
import {
  type Arguments,
  Dict,
  DictView,
  isList,
  Lazy,
  NO_ARGUMENTS,
  orElse,
  Range,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

type Getter = (item: Value) => Value;

const length: Filter = ({ meter }, value, given) => {
  bind('length', given, []);
  return lengthOrFault(meter, value);
};

const defaultFilter: Filter = (_, value, given) => {
  const [otherwise = '', boolean = false] = bind('default', given, ['default_value', 'boolean']);
  return value instanceof Undefined || (truth(boolean) && !truth(value)) ? otherwise : value;
};

const chosen =
  (name: string, wanted: boolean, byAttribute: boolean): Filter =>
  (context, value, { positional, named }) =>
    lazily(context.meter, function* () {
      if (!truth(value)) return;
      const [first, ...others] = positional;
      if (byAttribute && first === undefined) throw new TemplateFault(`${name}() misses the name of the attribute`);
      const get = byAttribute ? getterOf(context.meter, first ?? null) : (item: Value) => item;
      const [test, ...rest] = byAttribute ? others : positional;
      const holds = (item: Value): boolean =>
        test === undefined ? truth(item) : context.test(text(name, test), item, { positional: rest, named });
      for (const item of iterate(context.meter, value)) if (holds(get(item)) === wanted) yield item;
    });

const extreme =
  (name: 'min' | 'max', sign: 1 | -1): Filter =>
  ({ meter }, value, given) => {
    const [caseSensitive, attribute] = bind(name, given, ['case_sensitive', 'attribute']);
    const key = sortKey(meter, caseSensitive, attribute);
    let best: { item: Value; key: Value } | null = null;
    for (const item of iterate(meter, value)) {
      const own = key(item);
      if (best === null || sign * order(meter, own, best.key, sign > 0 ? '<' : '>') < 0) best = { item, key: own };
    }
    return best === null ? new Undefined('No aggregated item, sequence was empty.') : best.item;
  };

export const sequenceFilters: Readonly<Record<string, Filter>> = {
  length,
  count: length,
  default: defaultFilter,
  d: defaultFilter,
  attr(_, value, given) {
    const name = text('attr', bind('attr', given, ['name'], 1)[0]);
    if (value instanceof Undefined) throw undefinedFault(value);
    return onlyAttributeOf(value, name);
  },
  list({ meter }, value, given) {
    bind('list', given, []);
    return listOf(meter, value);
  },
  first({ meter }, value, given) {
    bind('first', given, []);
    const { done, value: first } = iterate(meter, value).next();
    return done === true ? new Undefined('No first item, sequence was empty.') : first;
  },
  last({ meter }, value, given) {
    bind('last', given, []);
    if (value instanceof Lazy || !isReversible(value)) throw notReversible(value);
    return orElse(listOf(meter, value).at(-1), () => new Undefined('No last item, sequence was empty.'));
  },
  reverse({ meter }, value, given) {
    bind('reverse', given, []);
    const items = [...listOf(meter, value)].reverse();
    return textOf(value) === undefined ? new Lazy(items.values()) : items.join('');
  },
  join({ meter }, value, given) {
    const [separator = '', attribute = null] = bind('join', given, ['d', 'attribute']);
    const get = attribute === null ? (item: Value) => item : getterOf(meter, attribute);
    const texts = lazily(meter, function* () {
      for (const item of iterate(meter, value)) yield toText(meter, get(item));
    });
    return joinTexts(meter, toText(meter, separator), texts);
  },
  map: (context, value, given) =>
    lazily(context.meter, function* () {
      if (!truth(value)) return;
      const change = mapping(context, given);
      for (const item of iterate(context.meter, value)) yield change(item);
    }),
  select: chosen('select', true, false),
  reject: chosen('reject', false, false),
  selectattr: chosen('selectattr', true, true),
  rejectattr: chosen('rejectattr', false, true),
  items({ meter }, value, given) {
    bind('items', given, []);
    return lazily(meter, function* () {
      if (value instanceof Undefined) return;
      if (!(value instanceof Dict)) throw new TemplateFault('Can only get item pairs from a mapping.');
      yield* iterate(meter, new DictView('items', value));
    });
  },
  sort({ meter }, value, given) {
    const [reverse = false, caseSensitive, attribute] = bind('sort', given, ['reverse', 'case_sensitive', 'attribute']);
    const names = attribute === undefined ? null : textOf(attribute)?.split(',');
    const keys = (names ?? [attribute]).map((each) => sortKey(meter, caseSensitive, each));
    return sorted(meter, listOf(meter, value), (item) => keys.map((key) => key(item)), truth(reverse));
  },
  dictsort({ meter }, value, given) {
    const [caseSensitive, by, reverse = false] = bind('dictsort', given, ['case_sensitive', 'by', 'reverse']);
    const way = textOrNull('dictsort', by) ?? 'key';
    if (way !== 'key' && way !== 'value') throw new TemplateFault('You can only sort by either "key" or "value"');
    if (value instanceof Undefined) throw undefinedFault(value);
    if (!(value instanceof Dict)) throw new TemplateFault(`'${typeName(value)}' object has no attribute 'items'`);
    const key = sortKey(meter, caseSensitive, BigInt(way === 'key' ? 0 : 1));
    return sorted(meter, listOf(meter, new DictView('items', value)), key, truth(reverse));
  },
  unique: ({ meter }, value, given) =>
    lazily(meter, function* () {
      const [caseSensitive, attribute] = bind('unique', given, ['case_sensitive', 'attribute']);
      const key = sortKey(meter, caseSensitive, attribute);
      const seen = new Dict();
      for (const item of iterate(meter, value)) {
        const own = key(item);
        meter.step(5);
        if (seen.get(own) !== undefined) continue;
        if (!seen.set(own, true)) throw new TemplateFault(`unhashable type: '${typeName(own)}'`);
        yield item;
      }
    }),
  groupby({ meter }, value, given) {
    const [attribute = null, otherwise, caseSensitive] = bind(
      'groupby',
      given,
      ['attribute', 'default', 'case_sensitive'],
      1,
    );
    const real = getterOf(meter, attribute, otherwise);
    const isExact = caseSensitive !== undefined && truth(caseSensitive);
    const key: Getter = isExact ? real : (item) => small(meter, real(item));
    const groups: { key: Value; items: Value[] }[] = [];
    for (const item of sorted(meter, listOf(meter, value), key, false)) {
      const last = groups.at(-1);
      const own = key(item);
      if (last !== undefined && equal(meter, last.key, own)) last.items.push(item);
      else groups.push({ key: own, items: [item] });
    }
    return groups.map(({ items }) => new Tuple([real(items[0] ?? null), items], ['grouper', 'list']));
  },
  min: extreme('min', 1),
  max: extreme('max', -1),
  sum({ meter }, value, given) {
    const [attribute = null, start = 0n] = bind('sum', given, ['attribute', 'start']);
    const get = attribute === null ? (item: Value) => item : getterOf(meter, attribute);
    if (textOf(start) !== undefined) throw new TemplateFault("sum() can't sum strings [use ''.join(seq) instead]");
    let sum = start;
    for (const item of iterate(meter, value)) sum = binary(meter, '+', sum, get(item));
    return sum;
  },
  batch: ({ meter }, value, given) =>
    lazily(meter, function* () {
      const [linecount, fill = null] = bind('batch', given, ['linecount', 'fill_with'], 1);
      const size = integer('batch', linecount);
      let row: Value[] = [];
      for (const item of iterate(meter, value)) {
        if (row.length === size) {
          yield row;
          row = [];
        }
        row.push(item);
      }
      if (row.length > 0) yield fill === null ? row : filled(meter, row, size, fill);
    }),
  slice: ({ meter }, value, given) =>
    lazily(meter, function* () {
      const [slices, fill = null] = bind('slice', given, ['slices', 'fill_with'], 1);
      const count = integer('slice', slices);
      if (count === 0) throw new TemplateFault('integer division or modulo by zero');
      const items = listOf(meter, value);
      const [size, longer] = [Math.floor(items.length / count), items.length % count];
      for (let i = 0, at = 0; i < count; i++) {
        const own = items.slice(at, at + size + (i < longer ? 1 : 0));
        at += own.length;
        meter.step(1 + own.length);
        yield fill !== null && i >= longer && longer > 0 ? [...own, fill] : own;
      }
    }),
};

function lazily(meter: Meter, make: () => Generator<Value>): Lazy {
  meter.step(5);
  return new Lazy(make());
}

function filled(meter: Meter, row: readonly Value[], size: number, fill: Value): Value[] {
  meter.list(size);
  return [...row, ...Array.from({ length: Math.max(0, size - row.length) }, () => fill)];
}

function isReversible(value: Value): boolean {
  const isSequence = isList(value) || textOf(value) !== undefined || value instanceof Tuple || value instanceof Range;
  return isSequence || value instanceof Dict || value instanceof DictView || value instanceof Undefined;
}

function notReversible(value: Value): TemplateFault {
  return new TemplateFault(`'${typeName(value)}' object is not reversible`);
}

/** What `map` does with an item: an attribute of it, or a filter of it. */
function mapping(context: FilterContext, { positional, named }: Arguments): Getter {
  const [name, ...rest] = positional;
  if (name !== undefined) {
    return (item) => context.filter(text('map', name), item, { positional: rest, named });
  }
  const attribute = named.get('attribute');
  if (attribute === undefined) throw new TemplateFault('map requires a filter argument');
  const [, otherwise] = bind('map', { ...NO_ARGUMENTS, named }, ['attribute', 'default']);
  return getterOf(context.meter, attribute, otherwise);
}

/** The attribute of an item by a path with dots; digits are positions. */
function getterOf(meter: Meter, attribute: Value, otherwise?: Value): Getter {
  const path = textOf(attribute);
  meter.read(path?.length ?? 1);
  const parts: Value[] =
    path === undefined ? [attribute] : path.split('.').map((part) => (/^\d{1,9}$/.test(part) ? BigInt(part) : part));
  return (item) => {
    let value = item;
    for (const part of parts) {
      meter.step();
      value = itemOf(meter, value, part);
      if (value instanceof Undefined && otherwise !== undefined && otherwise !== null) value = otherwise;
    }
    return value;
  };
}

/** What an item is sorted by: itself or an attribute, texts without regard to case unless that is asked for. */
function sortKey(meter: Meter, caseSensitive: Value | undefined, attribute: Value | undefined): Getter {
  const get = attribute === undefined || attribute === null ? (item: Value) => item : getterOf(meter, attribute);
  if (caseSensitive !== undefined && truth(caseSensitive)) return get;
  return (item) => small(meter, get(item));
}

function small(meter: Meter, value: Value): Value {
  const own = textOf(value);
  if (own === undefined) return value;
  meter.text(own.length);
  return own.toLowerCase();
}

function sorted(meter: Meter, items: readonly Value[], keyOf: Getter, reverse: boolean): readonly Value[] {
  meter.list(items.length);
  meter.step(4 * items.length);
  const keyed = items.map((item) => ({ item, key: keyOf(item) }));
  const sign = reverse ? -1 : 1; // stable both ways, as in Python
  keyed.sort((a, b) => {
    meter.step(4);
    return sign * order(meter, a.key, b.key);
  });
  return keyed.map(({ item }) => item);
}
