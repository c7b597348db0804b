/** @file Filters that make texts of values. */
import { bind, integer, integerOr, text, textOrNull } from './arguments.ts';
import { capitalize, lengthOf, sliceText, strip, WHITE_SPACE } from './characters.ts';
import { TemplateFault } from './faults.ts';
import type { Filter, FilterContext } from './filter.ts';
import { formatPercent } from './formatting.ts';
import { type JsonOptions, toJson } from './json.ts';
import { escapeMarkup, escapeText } from './markup.ts';
import { toText } from './printing.ts';
import { isIterable, iterate, lengthOrFault, listOf, truth } from './python.ts';
import { replaceAll } from './search.ts';
import { splitLines } from './text-methods.ts';
import { Dict, DictView, Markup, Tuple, textOf, typeName, type Value } from './values.ts';

/** A filter without arguments that changes letters; `cost` is in steps a character. */
const lettered =
  (name: string, change: (text: string) => string, cost = 1 / 8): Filter =>
  (context, value, given) => {
    bind(name, given, []);
    const own = toText(context.meter, value);
    context.meter.step(own.length * cost);
    const changed = change(own);
    context.meter.text(changed.length);
    return value instanceof Markup ? new Markup(changed) : changed;
  };

const escapeFilter: Filter = ({ meter }, value, given) => {
  bind('escape', given, []);
  return new Markup(escapeMarkup(meter, value));
};

export const textFilters: Readonly<Record<string, Filter>> = {
  upper: lettered('upper', (own) => own.toUpperCase()),
  lower: lettered('lower', (own) => own.toLowerCase()),
  capitalize: lettered('capitalize', capitalize),
  title: lettered('title', title, 1),
  string({ meter }, value) {
    return value instanceof Markup ? value : toText(meter, value);
  },
  safe({ meter }, value) {
    return value instanceof Markup ? value : new Markup(toText(meter, value));
  },
  escape: escapeFilter,
  e: escapeFilter,
  forceescape({ meter }, value) {
    return new Markup(escapeText(meter, toText(meter, value)));
  },
  trim({ meter }, value, given) {
    const [chars] = bind('trim', given, ['chars']);
    const own = toText(meter, value);
    const set = textOrNull('trim', chars);
    meter.text(own.length + (set?.length ?? 0));
    const kept = strip(own, set, 'both');
    meter.step((own.length - kept.length) / 8);
    return kept;
  },
  replace({ meter }, value, given) {
    const [from = null, to = null, count] = bind('replace', given, ['old', 'new', 'count'], 2);
    const most = integerOr('replace', count, -1);
    const texts = [value, from, to].map((each) => toText(meter, each));
    return replaceAll(meter, texts[0] ?? '', texts[1] ?? '', texts[2] ?? '', most < 0 ? Infinity : most);
  },
  indent: ({ meter }, value, given) => {
    const [width = 4n, first = false, blank = false] = bind('indent', given, ['width', 'first', 'blank']);
    const own = textOf(value);
    if (own === undefined) throw new TemplateFault(`'${typeName(value)}' object cannot be indented`);
    const written = textOf(width) ?? spaces(meter, integer('indent', width));
    return indent(meter, own, written, truth(first), truth(blank));
  },
  center({ meter }, value, given) {
    const width = integerOr('center', bind('center', given, ['width'])[0], 80);
    const own = toText(meter, value);
    const missing = width - lengthOf(meter, own);
    if (missing <= 0) return own;
    meter.text(own.length + missing);
    const left = Math.floor(missing / 2) + (missing & width & 1);
    return ' '.repeat(left) + own + ' '.repeat(missing - left);
  },
  format({ meter }, value, { positional, named }) {
    if (positional.length > 0 && named.size > 0) {
      throw new TemplateFault("can't handle positional and keyword arguments at the same time");
    }
    if (named.size === 0) return formatPercent(meter, toText(meter, value), new Tuple(positional));
    const dict = new Dict();
    for (const [name, item] of named) dict.set(name, item);
    return formatPercent(meter, toText(meter, value), dict);
  },
  truncate,
  wordcount({ meter }, value, given) {
    bind('wordcount', given, []);
    const own = toText(meter, value);
    meter.step(own.length / 4);
    return BigInt(own.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0);
  },
  urlencode,
  tojson({ meter }, value, given) {
    return toJson(meter, value, jsonOptions(meter, given));
  },
};

function spaces(meter: FilterContext['meter'], width: number): string {
  meter.text(Math.max(0, width));
  return ' '.repeat(Math.max(0, width));
}

const WORD_ENDS = new RegExp(`([-${WHITE_SPACE}({\\[<]+)`);

/** Words begin after white space, hyphens and opening brackets. */
function title(own: string): string {
  return own
    .split(WORD_ENDS)
    .map((word) => {
      const first = String.fromCodePoint(word.codePointAt(0) ?? 0);
      return word === '' ? '' : first.toUpperCase() + word.slice(first.length).toLowerCase();
    })
    .join('');
}

function indent(
  meter: FilterContext['meter'],
  own: string,
  indentation: string,
  first: boolean,
  blank: boolean,
): string {
  const lines = splitLines(meter, `${own}\n`);
  meter.text(own.length + lines.length * indentation.length);
  const [head = '', ...others] = lines;
  const rest = others.map((line) => (line === '' && !blank ? line : indentation + line));
  return (first ? indentation : '') + [head, ...rest].join('\n');
}

function truncate({ meter }: FilterContext, value: Value, given: Parameters<Filter>[2]): Value {
  const [length, killwords = false, end = '...', leeway] = bind('truncate', given, [
    'length',
    'killwords',
    'end',
    'leeway',
  ]);
  const [most, tolerance, ending] = [
    integerOr('truncate', length, 255),
    integerOr('truncate', leeway, 5),
    text('truncate', end),
  ];
  const kept = most - lengthOf(meter, ending);
  if (kept < 0 || tolerance < 0)
    throw new TemplateFault(`truncate() needs a length of at least ${lengthOf(meter, ending)}`);
  if (lengthOrFault(meter, value) <= most + tolerance) return value;
  const own = text('truncate', value);
  const cut = sliceText(meter, own, 0, kept);
  const space = truth(killwords) ? -1 : cut.lastIndexOf(' ');
  return (space < 0 ? cut : cut.slice(0, space)) + ending;
}

function urlencode({ meter }: FilterContext, value: Value): Value {
  const quote = (each: Value, slash: string, space: string): string => {
    const own = toText(meter, each);
    meter.text(9 * own.length);
    return encodeURIComponent(own.replaceAll(/\p{Surrogate}/gu, '\ufffd'))
      .replaceAll(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)
      .replaceAll('%2F', slash)
      .replaceAll('%20', space);
  };
  if (textOf(value) !== undefined || !isIterable(value)) return quote(value, '/', '%20');
  const pairs = value instanceof Dict ? new DictView('items', value) : value;
  return Array.from(iterate(meter, pairs), (pair) => {
    const [key, item, ...more] = listOf(meter, pair);
    if (key === undefined || item === undefined || more.length > 0) throw new TemplateFault('urlencode() needs pairs');
    return `${quote(key, '%2F', '+')}=${quote(item, '%2F', '+')}`;
  }).join('&');
}

function jsonOptions(meter: FilterContext['meter'], given: Parameters<Filter>[2]): JsonOptions {
  const [ascii = false, width = null, separators = null, sortKeys = false] = bind('tojson', given, [
    'ensure_ascii',
    'indent',
    'separators',
    'sort_keys',
  ]);
  const indentText = width === null ? null : (textOf(width) ?? spaces(meter, integer('tojson', width)));
  const items = separators instanceof Tuple ? separators.items : separators;
  const [item = null, key = null] = Array.isArray(items) ? items : [indentText === null ? ', ' : ',', ': '];
  return {
    ascii: truth(ascii),
    indent: indentText,
    separators: [text('tojson', item), text('tojson', key)],
    sortKeys: truth(sortKeys),
  };
}
