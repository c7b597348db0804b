/** @file Slices are contiguous, equal, in order, and those of the authors' scripts. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sliceRows } from './slices.ts';

describe('sliceRows()', () => {
  it("cuts UltraFeedback's 61,135 rows as the authors' scripts do", () => {
    expect(sliceRows(61_135, { count: 4, size: null, share: null })).toEqual([
      { start: 0, end: 15_283 },
      { start: 15_283, end: 30_566 },
      { start: 30_566, end: 45_849 },
      { start: 45_849, end: 61_132 },
    ]);
    expect(sliceRows(61_135, { count: 3, size: null, share: null }).map(({ end }) => end)).toEqual([
      20_378, 40_756, 61_134,
    ]);
  });

  it('gives equal slices that follow each other and stay inside the rows', () => {
    const inputs = fc.record({ total: fc.integer({ min: 1, max: 10_000 }), count: fc.integer({ min: 1, max: 20 }) });
    fc.assert(
      fc.property(inputs, ({ total, count }) => {
        fc.pre(count <= total);
        const slices = sliceRows(total, { count, size: null, share: null });
        expect(slices).toHaveLength(count);
        slices.forEach(({ start, end }, i) => {
          expect(end - start).toBe(Math.floor(total / count));
          expect(start).toBe(slices[i - 1]?.end ?? 0);
        });
        expect(slices.at(-1)?.end).toBeLessThanOrEqual(total);
      }),
    );
  });

  it('cuts by a share of the rows, rounded down', () => {
    const share = (total: number, share: number, count = 3) => sliceRows(total, { count, size: null, share });
    expect(share(10, 0.25)).toEqual([
      { start: 0, end: 2 },
      { start: 2, end: 4 },
      { start: 4, end: 6 },
    ]);
    expect(share(100, 0.29, 1)).toEqual([{ start: 0, end: 29 }]); // 0.29 * 100 is 28.999999999999996
    expect(share(7, 1)).toEqual([{ start: 0, end: 7 }]);
    expect(() => share(3, 0.25)).toThrow(expect.objectContaining({ code: 'SLICES_TOO_LARGE' }));
  });

  it('refuses slices that no row can fill', () => {
    expect(() => sliceRows(2, { count: 3, size: null, share: null })).toThrow(
      expect.objectContaining({ code: 'SLICES_TOO_LARGE' }),
    );
    expect(() => sliceRows(2, { count: 1, size: 3, share: null })).toThrow(
      expect.objectContaining({ code: 'SLICES_TOO_LARGE' }),
    );
  });
});
