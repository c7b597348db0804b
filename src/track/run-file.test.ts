import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { FILE_HEAD, framed, historyRecord, openingRecords, readRunFile } from './run-file.ts';

const fixture = fileURLToPath(new URL('../../test/fixtures/wandb/run-small.wandb', import.meta.url));
const run = { id: 'small', project: 'selm', name: 'small', startMs: 1_500_000_000_250, settings: { seed: 1 } };

describe("W&B's file of a run", () => {
  it("is read as W&B's own client wrote it", () => {
    const data = readFileSync(fixture);
    const { rows, startMs, endBytes } = readRunFile(data);
    expect(rows.map(({ values }) => values)).toEqual([
      { 'train/loss': 1, 'train/rewards/margins': 0.25 },
      { 'train/loss': 0.5 },
      { 'eval/reward': 0.125 },
    ]);
    expect(startMs).toBeGreaterThan(Date.UTC(2026, 0));
    // Behind it is the exit alone.
    expect(data.length - endBytes).toBeLessThan(100);
  });

  it('keeps what is written, also records that are longer than a block and those that end beside its border', () => {
    for (const length of [10, 32_740, 32_745, 32_746, 32_750, 32_760, 100_000]) {
      const long = { ...run, settings: { text: 'x'.repeat(length) } };
      const written = [...openingRecords(long), historyRecord({ row: 0, timeMs: 1, values: { loss: 2 ** -30 } }, 0)];
      const data = Buffer.concat([FILE_HEAD, framed(written, FILE_HEAD.length)]);
      const more = framed([historyRecord({ row: 1, timeMs: 2, values: { loss: 3 } }, 0)], data.length);
      const { rows, startMs, endBytes } = readRunFile(Buffer.concat([data, more]));
      expect(rows.map(({ values }) => values.loss)).toEqual([2 ** -30, 3]);
      expect(startMs).toBe(run.startMs);
      expect(endBytes).toBe(data.length + more.length);
    }
  });

  it('ends before a record that is torn or damaged, and has nothing where its head is another', () => {
    const first = Buffer.concat([FILE_HEAD, framed(openingRecords(run), FILE_HEAD.length)]);
    const row = framed([historyRecord({ row: 0, timeMs: 1, values: { loss: 1 } }, 0)], first.length);
    const data = Buffer.concat([first, row]);
    for (const cut of [1, 8, row.length - 1])
      expect(readRunFile(data.subarray(0, data.length - cut)).endBytes).toBe(first.length);
    data[first.length + 10] = (data[first.length + 10] ?? 0) ^ 1;
    expect(readRunFile(data)).toMatchObject({ rows: [], endBytes: first.length });
    expect(readRunFile(Buffer.from('something else'))).toEqual({ rows: [], startMs: null, endBytes: 0 });
  });
});
