/** @file Texts in quotes: Python's escapes. An escape that Python does not know stays as it is written. */
import type { TemplateFault } from './faults.ts';

const SIMPLE: Readonly<Record<string, string>> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** Hexadecimal digits after \x, \u and \U. */
const DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

const ESCAPE = /\\(?:([0-7]{1,3})|([xuU])([\da-fA-F]*)|(N)|(.))/gsu;

/** The text that the inside of a pair of quotes stands for. */
export function textOfLiteral(inside: string, fault: (message: string) => TemplateFault): string {
  if (!inside.includes('\\')) return inside;
  return inside.replaceAll(
    ESCAPE,
    (all: string, octal?: string, kind?: string, digits = '', name?: string, letter?: string) => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      if (name !== undefined) throw fault('the escape \\N{...} is not supported: write the character itself');
      if (kind === undefined) return SIMPLE[letter ?? ''] ?? (/\P{ASCII}/u.test(all) ? spelled(letter ?? '') : all);
      const length = DIGITS[kind] ?? 0;
      if (digits.length < length) throw fault(`truncated \\${kind}${'X'.repeat(length)} escape`);
      const code = Number.parseInt(digits.slice(0, length), 16);
      if (code > 0x10ffff) throw fault('illegal Unicode character');
      return String.fromCodePoint(code) + digits.slice(length);
    },
  );
}

/** A backslash before a letter beyond ASCII: Jinja2 spells the letter before it reads the escapes, and `\\` is one. */
function spelled(letter: string): string {
  const code = (letter.codePointAt(0) ?? 0).toString(16);
  const [kind, length] = code.length <= 2 ? ['x', 2] : code.length <= 4 ? ['u', 4] : ['U', 8];
  return `\\${kind}${code.padStart(Number(length), '0')}`;
}
