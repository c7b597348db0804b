/** @file Usable rows: in order, under ids of their own, and the same ones whenever they are read. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdCounter } from './id-counter.ts';
import { type ParsedRow, parseRow } from './rows.ts';
import { rowsOfSlice, usableRows } from './usable.ts';

async function* rows(...lines: string[]): AsyncGenerator<ParsedRow> {
  for (const [i, line] of lines.entries()) yield parseRow(line, { file: 'f', line: i + 1 });
}
const row = (prompt: string, id: string): string => JSON.stringify({ prompt, prompt_id: id });
const all = { limit: null, onBadRow: 'drop' } as const;

describe('usableRows()', () => {
  it('gives a prompt that comes again an id of its own, also where the data use such an id', async () => {
    const ids: string[] = [];
    const lines = [row('a', 'x'), row('b', 'x'), row('c', 'x#3'), row('d', 'x'), row('e', 'y')];
    for await (const { promptId } of usableRows(rows(...lines), all)) ids.push(promptId);
    expect(ids).toEqual(['x', 'x#2', 'x#3', 'x#4', 'y']);
  });

  it('ends at the limit without asking for more, and tells of every row before', async () => {
    const heard: string[] = [];
    const listener = {
      read: () => void heard.push('read'),
      dropped: () => void heard.push('dropped'),
      repeated: () => void heard.push('repeated'),
    };
    const lines = ['broken', row('a', 'x'), row('a', 'x'), row('b', 'y')];
    for await (const _ of usableRows(rows(...lines), { ...all, limit: 2 }, listener));
    expect(heard).toEqual(['read', 'dropped', 'read', 'read', 'repeated']);
  });
});

it('rowsOfSlice() finds the rows that the whole has there, under the same ids', async () => {
  const lines = Array.from({ length: 30 }, (_, i) => (i % 7 === 3 ? 'broken' : row(`p${i}`, `id${i % 5}`)));
  const whole = await rowsOfSlice(rows(...lines), all, { start: 0, end: 25 });
  expect(whole).toHaveLength(25);
  expect(new Set(whole.map(({ promptId }) => promptId)).size).toBe(25);
  for (const [start, end] of [
    [0, 8],
    [8, 16],
    [24, 25],
  ] as const) {
    expect(await rowsOfSlice(rows(...lines), all, { start, end })).toEqual(whole.slice(start, end));
  }
});

it('IdCounter counts as a Map does, while it grows', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 3 }), { maxLength: 3000 }), (texts) => {
      const counter = new IdCounter();
      const expected = new Map<string, number>();
      for (const text of texts) {
        expected.set(text, (expected.get(text) ?? 0) + 1);
        expect(counter.add(text)).toBe(expected.get(text));
      }
    }),
    { numRuns: 30, seed: 1 },
  );
  const large = new IdCounter();
  for (let i = 0; i < 100_000; i++) expect(large.add(`prompt ${i}`)).toBe(1);
});
