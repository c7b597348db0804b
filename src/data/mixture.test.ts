import { describe, expect, it } from 'vitest';
import { mixRows, mixtureCounts, sourceNames } from './mixture.ts';
import type { ParsedRow } from './rows.ts';

const source = { file: 'a.jsonl', line: 1 };
const bad: ParsedRow = { kind: 'problem', problem: 'no prompt', field: 'prompt', detail: 'none', source };

async function* rows(name: string, count: number): AsyncGenerator<ParsedRow> {
  for (let i = 1; i <= count; i++)
    yield {
      kind: 'row',
      row: { promptId: `${name}${i}`, prompt: { kind: 'text', text: 'x' }, chosen: null, rejected: null, source },
    };
}

async function* withBad(from: AsyncGenerator<ParsedRow>): AsyncGenerator<ParsedRow> {
  for await (const row of from) {
    yield bad;
    yield row;
  }
}

async function collect(from: AsyncIterable<ParsedRow>): Promise<ParsedRow[]> {
  const all: ParsedRow[] = [];
  for await (const each of from) all.push(each);
  return all;
}

const idsOf = (parsed: readonly ParsedRow[]) =>
  parsed.map((each) => (each.kind === 'row' ? each.row.promptId : each.problem)).join(' ');

describe('how many rows of each source', () => {
  const names = ['a', 'b'];

  it('shares take as many rows as the scarcest source allows, each at most once', () => {
    const mixture = { kind: 'shares', shares: [0.75, 0.25] } as const;
    expect(mixtureCounts(mixture, { usable: [1000, 100], names, limit: null })).toEqual([300, 100]);
    expect(mixtureCounts(mixture, { usable: [1000, 100], names, limit: 40 })).toEqual([30, 10]);
  });

  it('a share of 0.3 of 100 is 30, although 0.3 * 100 is a little more or less in binary', () => {
    const mixture = { kind: 'shares', shares: [0.7, 0.3] } as const;
    expect(mixtureCounts(mixture, { usable: [700, 300], names, limit: null })).toEqual([700, 300]);
  });

  it('counts are taken as they are, and a source that has fewer rows is named', () => {
    const mixture = { kind: 'counts', counts: [20, 50] } as const;
    expect(mixtureCounts(mixture, { usable: [20, 90], names, limit: null })).toEqual([20, 50]);
    expect(() => mixtureCounts(mixture, { usable: [20, 40], names, limit: null })).toThrow(
      /data.counts asks for 50 rows of b, which has 40 that can be used/,
    );
  });

  it('a source without a row that a share needs is named', () => {
    const mixture = { kind: 'shares', shares: [0.5, 0.5] } as const;
    expect(() => mixtureCounts(mixture, { usable: [20, 0], names, limit: null })).toThrow(/b has no usable row/);
  });
});

describe('the rows of several sources', () => {
  it('follow each other in proportion, so that every part of the stream has the same shares', async () => {
    const mixed = await collect(mixRows([rows('a', 9), rows('b', 9)], [6, 3]));
    expect(idsOf(mixed)).toBe('a1 b1 a2 a3 b2 a4 a5 b3 a6');
  });

  it('that cannot be used are passed on and take nobody’s place', async () => {
    const mixed = await collect(mixRows([withBad(rows('a', 5)), rows('b', 5)], [2, 1]));
    expect(idsOf(mixed)).toBe('no prompt a1 b1 no prompt a2');
  });
});

it('sources are named by their file or repository, each by a name of its own', () => {
  expect(
    sourceNames(['/x/prefs.jsonl.gz', '/y/prefs.parquet', 'hub:HuggingFaceH4/ultrafeedback_binarized:train_prefs']),
  ).toEqual(['prefs', 'prefs-2', 'ultrafeedback_binarized-train_prefs']);
});
