/**
 * @file Texts as Python looks at them, where IFEval is defined by it: what is white space, a letter's case, part of a word. JavaScript's own
 * `trim`, `\s`, `\w`, `\b`, `^` and `$` differ from these. Pure.
 */

/** Inside of a character class: white space of `str.strip` and of `\s`. */
export const SPACE = String.raw`\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;
/** Inside of a character class: what `\w` means to Python's `re`. */
export const WORD = String.raw`\p{L}\p{N}_`;

const START = new RegExp(`^[${SPACE}]+`, 'u');
const END = new RegExp(`[${SPACE}]+$`, 'u');
const RUN = new RegExp(`[${SPACE}]+`, 'u');

/** `text.strip()`. */
export function strip(text: string): string {
  return stripEnd(text.replace(START, ''));
}

/** `text.rstrip()`. */
export function stripEnd(text: string): string {
  // The end is looked for from the end: the expression alone would be tried at every run of spaces.
  let end = text.length;
  while (end > 0 && END.test(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** `text.strip(character)`, of one character. */
export function stripCharacter(text: string, character: string): string {
  let [start, end] = [0, text.length];
  while (start < end && text[start] === character) start++;
  while (end > start && text[end - 1] === character) end--;
  return text.slice(start, end);
}

/** `text.split()`. */
export function splitWords(text: string): string[] {
  return text.split(RUN).filter((word) => word !== '');
}

/** `text.isupper()`: some letter has a case, and none is lower. */
export function isUpper(text: string): boolean {
  return /\p{Uppercase}/u.test(text) && !/\p{Lowercase}|\p{Lt}/u.test(text);
}

/** `text.islower()`. */
export function isLower(text: string): boolean {
  return /\p{Lowercase}/u.test(text) && !/\p{Uppercase}|\p{Lt}/u.test(text);
}

/** How often an expression (with the flag `g`) is found. */
export function count(expression: RegExp, text: string): number {
  return text.match(expression)?.length ?? 0;
}
