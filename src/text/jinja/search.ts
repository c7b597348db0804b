/**
 * @file Searching texts in linear time. JavaScript's own search takes the product of both lengths at its worst and cannot be
 * stopped (17 s for a pattern of 16,000 letters in a million): it is used for short patterns only.
 */
import type { Meter } from './meter.ts';

/** Patterns up to here are searched by the engine. */
const SHORT_PATTERN = 16;

/** Offsets at which a pattern (not empty) begins, matches not overlapping, the first `most` of them. */
export function occurrences(meter: Meter, text: string, pattern: string, most = Infinity): number[] {
  return pattern.length <= SHORT_PATTERN ? shortOnes(meter, text, pattern, most) : longOnes(meter, text, pattern, most);
}

/** Whether a pattern is in a text. */
export function includes(meter: Meter, text: string, pattern: string): boolean {
  return pattern === '' || occurrences(meter, text, pattern, 1).length > 0;
}

/** Where a pattern begins for the first time, or -1. */
export function indexOf(meter: Meter, text: string, pattern: string): number {
  return pattern === '' ? 0 : (occurrences(meter, text, pattern, 1)[0] ?? -1);
}

/** Where a pattern begins for the last time, or -1. */
export function lastIndexOf(meter: Meter, text: string, pattern: string): number {
  if (pattern === '') return text.length;
  const mirrored = [text, pattern].map((each) => each.split('').reverse().join(''));
  meter.step(2 * text.length);
  const [first] = occurrences(meter, mirrored[0] ?? '', mirrored[1] ?? '', 1);
  return first === undefined ? -1 : text.length - first - pattern.length;
}

/** The parts between the places of a pattern. */
export function partsBetween(meter: Meter, text: string, pattern: string, most = Infinity): string[] {
  const places = occurrences(meter, text, pattern, most);
  meter.list(places.length + 1);
  const starts = [0, ...places.map((at) => at + pattern.length)];
  return starts.map((start, i) => text.slice(start, places[i]));
}

/** str.replace(): the matches are paid for before their replacements are made. */
export function replaceAll(meter: Meter, text: string, from: string, to: string, most = Infinity): string {
  if (from !== '') {
    const parts = partsBetween(meter, text, from, most);
    meter.text(text.length + (parts.length - 1) * (to.length - from.length));
    return parts.join(to);
  }
  // Python puts it before every character and at the end.
  const characters = Array.from(text);
  const count = Math.min(most, characters.length + 1);
  meter.list(characters.length);
  meter.text(text.length + count * to.length);
  const replaced = characters.map((character, i) => (i < count ? to + character : character)).join('');
  return count > characters.length ? replaced + to : replaced;
}

function shortOnes(meter: Meter, text: string, pattern: string, most: number): number[] {
  const places: number[] = [];
  let from = 0;
  while (places.length < most) {
    const at = text.indexOf(pattern, from);
    meter.step(1 + (pattern.length * ((at < 0 ? text.length : at) - from)) / 64);
    if (at < 0) break;
    places.push(at);
    from = at + pattern.length;
  }
  return places;
}

/** Knuth, Morris and Pratt. */
function longOnes(meter: Meter, text: string, pattern: string, most: number): number[] {
  meter.step(1 + (text.length + pattern.length) / 4);
  if (pattern.length > text.length) return [];
  const fallback = new Int32Array(pattern.length);
  const places: number[] = [];
  for (let i = 1, length = 0; i < pattern.length; i++) {
    const letter = pattern.charCodeAt(i);
    while (length > 0 && letter !== pattern.charCodeAt(length)) length = fallback[length - 1] ?? 0;
    if (letter === pattern.charCodeAt(length)) length += 1;
    fallback[i] = length;
  }
  for (let i = 0, length = 0; i < text.length && places.length < most; i++) {
    const letter = text.charCodeAt(i);
    while (length > 0 && letter !== pattern.charCodeAt(length)) length = fallback[length - 1] ?? 0;
    if (letter === pattern.charCodeAt(length)) length += 1;
    if (length < pattern.length) continue;
    places.push(i + 1 - length);
    length = 0;
  }
  return places;
}
