/** @file Texts as Python sees them: sequences of code points, with its own set of white space. */
import type { Meter } from './meter.ts';

/** What str.isspace(), strip(), split() and the \s of `re` take as white space: not U+FEFF, but U+0085 and U+001C to U+001F. */
export const WHITE_SPACE =
  '\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

const SPACE = new RegExp(`^[${WHITE_SPACE}]$`);
const LINE_ENDS = new Set('\n\r\v\f\u001c\u001d\u001e\u0085\u2028\u2029');
const SURROGATE = /[\ud800-\udfff]/;

/** Whether one character is white space. */
export function isSpace(character: string): boolean {
  return character === ' ' || character === '\n' || SPACE.test(character);
}

/** Whether str.splitlines() ends a line there. */
export function isLineEnd(character: string): boolean {
  return LINE_ENDS.has(character);
}

/** Whether positions in JavaScript's text are positions of code points. */
function isPlain(text: string): boolean {
  return !SURROGATE.test(text);
}

/** len(text). */
export function lengthOf(meter: Meter, text: string): number {
  meter.read(text.length);
  if (isPlain(text)) return text.length;
  meter.step(text.length / 8);
  let length = text.length;
  for (let i = 0; i + 1 < text.length; i++) if ((text.codePointAt(i) ?? 0) > 0xffff) length -= 1;
  return length;
}

/** The code points, each as a text. */
export function charactersOf(meter: Meter, text: string): string[] {
  meter.list(text.length);
  return isPlain(text) ? text.split('') : Array.from(text);
}

/** text[at] by code points, from the end where `at` is negative. */
export function characterAt(meter: Meter, text: string, at: number): string | undefined {
  const length = lengthOf(meter, text);
  if (length === text.length) return text.at(at);
  const place = at < 0 ? at + length : at;
  if (place < 0 || place >= length) return undefined;
  return String.fromCodePoint(text.codePointAt(offsetOf(meter, text, place)) ?? 0);
}

/** text[start:stop] by code points, 0 <= start <= stop <= length. */
export function sliceText(meter: Meter, text: string, start: number, stop: number): string {
  return text.slice(offsetOf(meter, text, start), offsetOf(meter, text, stop));
}

/** Where the `at`-th code point begins in JavaScript's text. */
export function offsetOf(meter: Meter, text: string, at: number): number {
  meter.read(text.length);
  if (isPlain(text)) return Math.min(at, text.length);
  meter.step(Math.min(at, text.length) / 8);
  let offset = 0;
  for (let i = 0; i < at && offset < text.length; i++) offset += (text.codePointAt(offset) ?? 0) > 0xffff ? 2 : 1;
  return offset;
}

/** The text without white space, or without those characters, at its ends. */
export function strip(text: string, characters: string | null, ends: 'both' | 'left' | 'right'): string {
  const set = characters === null ? null : new Set(characters);
  const isStripped = (character: string): boolean => (set === null ? isSpace(character) : set.has(character));
  let start = 0;
  let stop = text.length;
  if (ends !== 'right') {
    while (start < stop) {
      const character = String.fromCodePoint(text.codePointAt(start) ?? 0);
      if (!isStripped(character)) break;
      start += character.length;
    }
  }
  if (ends !== 'left') {
    while (stop > start) {
      const character = characterBefore(text, stop);
      if (!isStripped(character)) break;
      stop -= character.length;
    }
  }
  return text.slice(start, stop);
}

function characterBefore(text: string, end: number): string {
  const pair = text.codePointAt(end - 2) ?? 0;
  return end >= 2 && pair > 0xffff ? String.fromCodePoint(pair) : text.charAt(end - 1);
}

/** Order of two texts by code points. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  let at = 0;
  while (at < a.length && at < b.length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  // A difference in the second half of a pair: the pairs differ.
  const inPair = at > 0 && (a.codePointAt(at - 1) ?? 0) > 0xffff && (b.codePointAt(at - 1) ?? 0) > 0xffff;
  const from = inPair ? at - 1 : at;
  return (a.codePointAt(from) ?? -1) - (b.codePointAt(from) ?? -1);
}

/** str.capitalize(): the first letter as in a title, the others small. */
export function capitalize(text: string): string {
  const first = String.fromCodePoint(text.codePointAt(0) ?? 0);
  // The whole is made small at once: how a sigma is written depends on the letters around it.
  return text === '' ? '' : titleLetter(first) + text.toLowerCase().slice(first.toLowerCase().length);
}

/** Letters that are written as one letter of two cases in titles. */
const TITLE_LETTERS = new Map(
  [...'ǄǅǆǇǈǉǊǋǌǱǲǳ'].map((letter, i) => [letter, [...'ǅǈǋǲ'][Math.floor(i / 3)] ?? letter]),
);

/** A letter at the beginning of a word of a title: `ß` becomes `Ss`. */
export function titleLetter(letter: string): string {
  const known = TITLE_LETTERS.get(letter);
  if (known !== undefined) return known;
  const [first = '', ...rest] = letter.toUpperCase();
  return first + rest.join('').toLowerCase();
}
