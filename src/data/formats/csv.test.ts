import { describe, expect, it } from 'vitest';
import { parseCsv } from './csv.ts';

const values = (text: string): string[][] => parseCsv(text).rows.map(({ fields }) => [...fields.values()]);

describe('parseCsv', () => {
  it('reads quoted fields with commas, line ends and doubled quotes', () => {
    expect(values('a,b\n"x, ""y""\nz",2\n')).toEqual([['x, "y"\nz', '2']]);
  });

  it('reads Windows line ends, a byte order mark, and a last line without an end', () => {
    expect(parseCsv('\uFEFFa,b\r\n1,\r\n,2').columns).toEqual(['a', 'b']);
    expect(values('\uFEFFa,b\r\n1,\r\n,2')).toEqual([
      ['1', ''],
      ['', '2'],
    ]);
  });

  it('names the line of a row with too few or too many fields, and leaves blank lines out', () => {
    const { rows, problems } = parseCsv('a,b\n"1\n1",2\n\n3\n4,5,6\n7,8\n');
    expect(rows.map(({ line }) => line)).toEqual([2, 7]);
    expect(problems).toEqual([
      { line: 5, problem: 'it has 1 fields, the header 2' },
      { line: 6, problem: 'it has 3 fields, the header 2' },
    ]);
  });

  it('reads a long quoted field without recursion', () => {
    const long = 'x""'.repeat(300_000);
    expect(values(`a\n"${long}"\n`)).toEqual([[long.replaceAll('""', '"')]]);
  });
});
