/**
 * @file A strict JSON reader for headers that came from outside: objects become Maps (a key `__proto__` is a key like any
 * other), a key that comes twice is refused (`JSON.parse` keeps the last in silence, other readers the first), and
 * numbers stay text until someone says what they must be. Grammar of RFC 8259, nesting at most 64.
 */

/** A number as it was written. */
export class JsonNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type JsonValue = null | boolean | string | JsonNumber | JsonValue[] | Map<string, JsonValue>;

const MAX_NESTING = 64;
const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const LONE_SURROGATE = /\p{Surrogate}/u;
const LITERAL = /true|false|null/y;

/** Parses one JSON text. Throws SyntaxError with the character position. */
export function parseStrictJson(text: string): JsonValue {
  let position = 0;

  function take(pattern: RegExp): string | null {
    pattern.lastIndex = position;
    const match = pattern.exec(text);
    if (match === null) return null;
    position = pattern.lastIndex;
    return match[0];
  }

  function fail(problem: string): never {
    throw new SyntaxError(`${problem} at character ${position}`);
  }

  /** Takes the character when it is next. */
  function next(character: string): boolean {
    take(SPACE);
    if (text[position] !== character) return false;
    position++;
    return true;
  }

  function string(): string {
    take(SPACE);
    if (text[position] !== '"') fail('expected a string');
    const start = position++;
    // The end is the first quote that no backslash precedes; JSON.parse then judges escapes and control characters.
    while (position < text.length && text[position] !== '"') position += text[position] === '\\' ? 2 : 1;
    const token = text.slice(start, ++position);
    let value: unknown;
    try {
      value = JSON.parse(token);
    } catch {
      // Reported below.
    }
    if (typeof value === 'string' && !LONE_SURROGATE.test(value)) return value;
    position = start;
    return fail('expected a string of valid characters');
  }

  function object(depth: number): Map<string, JsonValue> {
    const map = new Map<string, JsonValue>();
    if (next('}')) return map;
    do {
      const key = string();
      if (map.has(key)) fail(`key ${JSON.stringify(key)} comes twice`);
      if (!next(':')) fail('expected ":"');
      map.set(key, value(depth));
    } while (next(','));
    if (!next('}')) fail('expected "," or "}"');
    return map;
  }

  function array(depth: number): JsonValue[] {
    const items: JsonValue[] = [];
    if (next(']')) return items;
    do items.push(value(depth));
    while (next(','));
    if (!next(']')) fail('expected "," or "]"');
    return items;
  }

  function value(depth: number): JsonValue {
    if (depth > MAX_NESTING) fail(`nesting deeper than ${MAX_NESTING}`);
    if (next('{')) return object(depth + 1);
    if (next('[')) return array(depth + 1);
    if (text[position] === '"') return string();
    const number = take(NUMBER);
    if (number !== null) return new JsonNumber(number);
    const literal = take(LITERAL) ?? fail('expected a value');
    return literal === 'null' ? null : literal === 'true';
  }

  const result = value(0);
  take(SPACE);
  if (position < text.length) fail('text after the end');
  return result;
}
