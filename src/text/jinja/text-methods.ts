/** @file The methods of Python's str, as far as templates can call them. */
import { bind, integer, integerOr, text, textOrNull } from './arguments.ts';
import { capitalize, charactersOf, isLineEnd, isSpace, lengthOf, sliceText, strip } from './characters.ts';
import { TemplateFault } from './faults.ts';
import { formatBraces, type Lookup } from './formatting.ts';
import type { Meter } from './meter.ts';
import { isUnprintable } from './printing.ts';
import { iterate, truth } from './python.ts';
import { indexOf, lastIndexOf, occurrences, partsBetween, replaceAll } from './search.ts';
import { type Arguments, Dict, Tuple, textOf, typeName, type Value } from './values.ts';

/** A method: of which text, with which arguments. */
export type TextMethod = (meter: Meter, own: string, given: Arguments, lookup: Lookup) => Value;

/** Methods that change letters; `cost` is in steps a character. */
const lettered =
  (change: (own: string) => string, cost = 1 / 8): TextMethod =>
  (meter, own) => {
    meter.step(own.length * cost);
    const changed = change(own);
    meter.text(changed.length);
    return changed;
  };

const stripped =
  (name: string, ends: 'both' | 'left' | 'right'): TextMethod =>
  (meter, own, given) => {
    const [characters] = bind(name, given, ['chars']);
    const set = textOrNull(name, characters);
    meter.step((set?.length ?? 0) / 4);
    meter.text(own.length);
    const kept = strip(own, set, ends);
    meter.step((own.length - kept.length) / 8);
    return kept;
  };

/** Whether it is not empty and all its characters match. */
const every =
  (pattern: RegExp): TextMethod =>
  (meter, own) => {
    meter.step(own.length / 8);
    return pattern.test(own);
  };

/** Whether it has letters of a case, and no others of a case. */
const cased =
  (own: RegExp, other: RegExp): TextMethod =>
  (meter, all) => {
    meter.step(all.length / 8);
    return own.test(all) && !other.test(all);
  };

const affixed =
  (name: string, isAt: (own: string, affix: string) => boolean): TextMethod =>
  (meter, own, given) => {
    const [affixes = null, start, stop] = bind(name, given, ['prefix', 'start', 'end'], 1);
    const part = within(meter, name, own, start, stop);
    if (part === null) return false;
    const all = affixes instanceof Tuple ? affixes.items : [affixes];
    return all.some((affix) => {
      const wanted = text(name, affix);
      meter.read(wanted.length);
      return isAt(part.text, wanted);
    });
  };

const found =
  (name: string, search: (meter: Meter, own: string, wanted: string) => number, isError: boolean): TextMethod =>
  (meter, own, given) => {
    const [sub, start, stop] = bind(name, given, ['sub', 'start', 'end'], 1);
    const part = within(meter, name, own, start, stop);
    const at = part === null ? -1 : search(meter, part.text, text(name, sub));
    if (part !== null && at >= 0) return BigInt(part.start + lengthOf(meter, part.text.slice(0, at)));
    if (isError) throw new TemplateFault('substring not found');
    return -1n;
  };

const partitioned =
  (name: string, search: (meter: Meter, own: string, wanted: string) => number): TextMethod =>
  (meter, own, given) => {
    const [sep] = bind(name, given, ['sep'], 1);
    const separator = text(name, sep);
    if (separator === '') throw new TemplateFault('empty separator');
    meter.text(own.length);
    const at = search(meter, own, separator);
    if (at >= 0) return new Tuple([own.slice(0, at), separator, own.slice(at + separator.length)]);
    return new Tuple(name === 'partition' ? [own, '', ''] : ['', '', own]);
  };

const justified =
  (name: string, leftOf: (missing: number, width: number) => number): TextMethod =>
  (meter, own, given) => {
    const [width, fillchar] = bind(name, given, ['width', 'fillchar'], 1);
    const fill = fillchar === undefined ? ' ' : text(name, fillchar);
    if ([...fill.slice(0, 3)].length !== 1) {
      throw new TemplateFault('The fill character must be exactly one character long');
    }
    const wanted = integer(name, width);
    const missing = wanted - lengthOf(meter, own);
    if (missing <= 0) return own;
    meter.text(own.length + missing * fill.length);
    const left = leftOf(missing, wanted);
    return fill.repeat(left) + own + fill.repeat(missing - left);
  };

const split =
  (name: 'split' | 'rsplit'): TextMethod =>
  (meter, own, given) => {
    const [sep, maxsplit] = bind(name, given, ['sep', 'maxsplit']);
    const separator = textOrNull(name, sep);
    const limit = integerOr(name, maxsplit, -1);
    const most = limit < 0 ? Infinity : limit;
    if (separator === '') throw new TemplateFault('empty separator');
    meter.text(own.length);
    if (name === 'split') {
      return separator === null ? splitAtSpace(meter, own, most) : partsBetween(meter, own, separator, most);
    }
    // From the right: the same from the left, on what is mirrored.
    meter.step(own.length * 2);
    const mirrored = mirror(own);
    const parts =
      separator === null ? splitAtSpace(meter, mirrored, most) : partsBetween(meter, mirrored, mirror(separator), most);
    return parts.map(mirror).reverse();
  };

const METHODS: Readonly<Record<string, TextMethod>> = {
  upper: lettered((own) => own.toUpperCase()),
  lower: lettered((own) => own.toLowerCase()),
  casefold: lettered(foldCase, 1),
  capitalize: lettered(capitalize),
  title: lettered(title, 4),
  swapcase: lettered(swapCase, 4),
  strip: stripped('strip', 'both'),
  lstrip: stripped('lstrip', 'left'),
  rstrip: stripped('rstrip', 'right'),
  split: split('split'),
  rsplit: split('rsplit'),
  splitlines(meter, own, given) {
    const [keepends] = bind('splitlines', given, ['keepends']);
    return splitLines(meter, own, keepends !== undefined && truth(keepends));
  },
  startswith: affixed('startswith', (own, affix) => own.startsWith(affix)),
  endswith: affixed('endswith', (own, affix) => own.endsWith(affix)),
  removeprefix(meter, own, given) {
    const prefix = text('removeprefix', bind('removeprefix', given, ['prefix'], 1)[0]);
    meter.text(own.length);
    return own.startsWith(prefix) ? own.slice(prefix.length) : own;
  },
  removesuffix(meter, own, given) {
    const suffix = text('removesuffix', bind('removesuffix', given, ['suffix'], 1)[0]);
    meter.text(own.length);
    return suffix !== '' && own.endsWith(suffix) ? own.slice(0, -suffix.length) : own;
  },
  replace(meter, own, given) {
    const [from, to, count] = bind('replace', given, ['old', 'new', 'count'], 2);
    const most = integerOr('replace', count, -1);
    return replaceAll(meter, own, text('replace', from), text('replace', to), most < 0 ? Infinity : most);
  },
  find: found('find', indexOf, false),
  rfind: found('rfind', lastIndexOf, false),
  index: found('index', indexOf, true),
  rindex: found('rindex', lastIndexOf, true),
  count(meter, own, given) {
    const [sub, start, stop] = bind('count', given, ['sub', 'start', 'end'], 1);
    const part = within(meter, 'count', own, start, stop);
    const wanted = text('count', sub);
    if (part === null) return 0n;
    if (wanted === '') return BigInt(lengthOf(meter, part.text) + 1);
    return BigInt(occurrences(meter, part.text, wanted).length);
  },
  partition: partitioned('partition', indexOf),
  rpartition: partitioned('rpartition', lastIndexOf),
  join(meter, own, given) {
    const [items = null] = bind('join', given, ['iterable'], 1);
    return joinTexts(meter, own, items);
  },
  center: justified('center', (missing, width) => Math.floor(missing / 2) + (missing & width & 1)),
  ljust: justified('ljust', () => 0),
  rjust: justified('rjust', (missing) => missing),
  zfill(meter, own, given) {
    const width = integer('zfill', bind('zfill', given, ['width'], 1)[0]);
    const missing = width - lengthOf(meter, own);
    if (missing <= 0) return own;
    meter.text(width);
    const sign = /^[-+]/.exec(own)?.[0] ?? '';
    return sign + '0'.repeat(missing) + own.slice(sign.length);
  },
  expandtabs(meter, own, given) {
    const size = Math.max(0, integerOr('expandtabs', bind('expandtabs', given, ['tabsize'])[0], 8));
    return expandTabs(meter, own, size);
  },
  format: (meter, own, given, lookup) => formatBraces(meter, own, given, lookup),
  format_map(meter, own, given, lookup) {
    const [mapping] = bind('format_map', given, ['mapping'], 1);
    if (!(mapping instanceof Dict)) throw new TemplateFault('format_map() needs a dict');
    const named = new Map([...mapping.entries()].map(([key, value]) => [textOf(key) ?? '', value]));
    return formatBraces(meter, own, { positional: [], named }, lookup);
  },
  isspace(meter, own) {
    meter.step(own.length / 8);
    return own !== '' && strip(own, null, 'left') === '';
  },
  isalpha: every(/^\p{L}+$/u),
  isalnum: every(/^[\p{L}\p{N}]+$/u),
  isdecimal: every(/^\p{Nd}+$/u),
  isdigit: every(/^[\p{Nd}²³¹⁰⁴-⁹₀-₉①-⑨⑴-⑼⒈-⒐⓪⓵-⓽⓿❶-❾➀-➈➊-➒]+$/u),
  isnumeric: every(/^\p{N}+$/u),
  isidentifier: every(/^[\p{ID_Start}_]\p{ID_Continue}*$/u),
  isascii: every(/^\p{ASCII}*$/u),
  islower: cased(/\p{Lowercase}/u, /[\p{Uppercase}\p{Lt}]/u),
  isupper: cased(/\p{Uppercase}/u, /[\p{Lowercase}\p{Lt}]/u),
  istitle(meter, own) {
    meter.step(own.length * 4);
    return /[\p{Lowercase}\p{Uppercase}\p{Lt}]/u.test(own) && title(own) === own;
  },
  isprintable(meter, own) {
    meter.step(own.length);
    return charactersOf(meter, own).every((character) => character === ' ' || !isUnprintable(character));
  },
};

/** The method of that name, undefined where str has none (or none that templates need). */
export function textMethod(name: string): TextMethod | undefined {
  return Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
}

/** separator.join(items). */
export function joinTexts(meter: Meter, separator: string, items: Value): string {
  const parts: string[] = [];
  let characters = 0;
  for (const item of iterate(meter, items)) {
    const part = textOf(item);
    if (part === undefined) {
      throw new TemplateFault(`sequence item ${parts.length}: expected str instance, ${typeName(item)} found`);
    }
    characters += part.length + (parts.length > 0 ? separator.length : 0);
    meter.text(characters);
    parts.push(part);
  }
  return parts.join(separator);
}

/** str.splitlines(). */
export function splitLines(meter: Meter, own: string, keepsEnds = false): string[] {
  meter.step(own.length / 2);
  meter.text(own.length);
  const lines: string[] = [];
  let start = 0;
  for (let at = 0; at < own.length; at++) {
    if (!isLineEnd(own.charAt(at))) continue;
    const end = own.startsWith('\r\n', at) ? at + 2 : at + 1;
    lines.push(own.slice(start, keepsEnds ? end : at));
    start = end;
    at = end - 1;
  }
  if (start < own.length) lines.push(own.slice(start));
  meter.list(lines.length);
  return lines;
}

function splitAtSpace(meter: Meter, own: string, most: number): string[] {
  meter.step(own.length / 2);
  const parts: string[] = [];
  let at = 0;
  for (;;) {
    while (at < own.length && isSpace(own.charAt(at))) at++;
    if (at >= own.length) break;
    const start = at;
    if (parts.length >= most) {
      parts.push(own.slice(start));
      break;
    }
    while (at < own.length && !isSpace(own.charAt(at))) at++;
    parts.push(own.slice(start, at));
    if (parts.length > meter.limits.items) meter.list(parts.length);
  }
  meter.list(parts.length);
  return parts;
}

function mirror(own: string): string {
  return own.split('').reverse().join('');
}

/** A big letter at the beginning of every run of letters, small ones after it. */
function title(own: string): string {
  return own.replaceAll(/\p{Cased}+/gu, capitalize);
}

function foldCase(own: string): string {
  return own.replaceAll(/[ßẞ]/g, 'ss').toLowerCase().replaceAll('ς', 'σ');
}

function swapCase(own: string): string {
  return Array.from(own, (letter) =>
    /\p{Uppercase}/u.test(letter) ? letter.toLowerCase() : letter.toUpperCase(),
  ).join('');
}

function expandTabs(meter: Meter, own: string, size: number): string {
  let column = 0;
  let characters = 0;
  const parts = charactersOf(meter, own).map((character) => {
    const part = character === '\t' ? ' '.repeat(size === 0 ? 0 : size - (column % size)) : character;
    column = character === '\n' || character === '\r' ? 0 : column + part.length;
    characters += part.length;
    if (characters > meter.limits.characters) meter.text(characters);
    return part;
  });
  meter.text(characters);
  return parts.join('');
}

/** The part of a text between two positions as Python's search methods take them; null where it begins beyond the end. */
function within(
  meter: Meter,
  name: string,
  own: string,
  start: Value | undefined,
  stop: Value | undefined,
): { text: string; start: number } | null {
  meter.read(own.length);
  if ((start ?? null) === null && (stop ?? null) === null) return { text: own, start: 0 };
  const length = lengthOf(meter, own);
  const place = (value: Value | undefined, otherwise: number): number => {
    const at = integerOr(name, value, otherwise);
    return at < 0 ? Math.max(0, at + length) : at;
  };
  const [from, to] = [place(start, 0), Math.min(length, place(stop, length))];
  if (from > length) return null;
  return { text: sliceText(meter, own, from, Math.max(from, to)), start: from };
}
