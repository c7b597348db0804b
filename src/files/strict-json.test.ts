import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonNumber, type JsonValue, parseStrictJson } from './strict-json.ts';

function plain(value: JsonValue): unknown {
  if (value instanceof JsonNumber) return Number(value.text);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [key, plain(item)]));
  return Array.isArray(value) ? value.map(plain) : value;
}

test('parseStrictJson() agrees with JSON.parse on every JSON text without double keys', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), fc.constantFrom(0, 1, 2), (text, indent) => {
      const formatted = JSON.stringify(JSON.parse(text), null, indent);
      expect(plain(parseStrictJson(formatted))).toEqual(JSON.parse(formatted));
    }),
    { numRuns: 500, seed: 1 },
  );
});

test('parseStrictJson() never accepts what JSON.parse refuses', () => {
  const base = '{"a":[1,-2.5e3,"x\\u0041\\n"],"b":{"c":null,"d":true}}';
  fc.assert(
    fc.property(fc.nat(base.length - 1), fc.string({ maxLength: 2 }), fc.nat(3), (at, insert, cut) => {
      const text = base.slice(0, at) + insert + base.slice(at + cut);
      let accepted = true;
      try {
        parseStrictJson(text);
      } catch (error) {
        expect(error).toBeInstanceOf(SyntaxError);
        accepted = false;
      }
      if (accepted) JSON.parse(text);
    }),
    { numRuns: 2000, seed: 2 },
  );
});

test('parseStrictJson() keeps __proto__ as a key and numbers as text', () => {
  const value = parseStrictJson('{"__proto__": {"constructor": 18446744073709551615}}');
  const inner = value instanceof Map ? value.get('__proto__') : undefined;
  expect(inner instanceof Map ? inner.get('constructor') : undefined).toEqual(new JsonNumber('18446744073709551615'));
});

test.each([
  ['{"a":1,"a":2}', 'key "a" comes twice'],
  ['{"a":{"b":1,"\\u0062":2}}', 'key "b" comes twice'],
  ['', 'expected a value'],
  ['{', 'expected a string'],
  ['{"a"}', 'expected ":"'],
  ['{"a":1', 'expected "," or "}"'],
  ['[1', 'expected "," or "]"'],
  ['[1,]', 'expected a value'],
  ['{a:1}', 'expected a string'],
  ['01', 'text after the end'],
  ['1 2', 'text after the end'],
  ['NaN', 'expected a value'],
  ['"abc', 'expected a string of valid characters'],
  ['"abc\\', 'expected a string of valid characters'],
  ['"\\ud800"', 'expected a string of valid characters'],
  ['"\\x41"', 'expected a string of valid characters'],
  ['"\u0001"', 'expected a string of valid characters'],
  ['['.repeat(100_000), 'nesting deeper than 64'],
])('parseStrictJson() refuses %s', (text, problem) => {
  expect(() => parseStrictJson(text)).toThrow(problem);
});

test('parseStrictJson() reads a string of 20 million characters in a moment', () => {
  const started = performance.now();
  expect(parseStrictJson(`"${'a\\n'.repeat(7_000_000)}"`)).toHaveLength(14_000_000);
  // Linear work: about 0.1 s here; ten seconds leave room for slow machines and none for a quadratic scan.
  expect(performance.now() - started).toBeLessThan(10_000);
});
