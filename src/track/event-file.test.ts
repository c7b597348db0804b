import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readEventFile, scalarsRecord, versionRecord } from './event-file.ts';

const folder = fileURLToPath(new URL('../../test/fixtures/tensorboard', import.meta.url));
const oracle = readFileSync(join(folder, 'events.out.tfevents.fixture'));
const fixture = JSON.parse(readFileSync(join(folder, 'steps.json'), 'utf8')) as {
  startSeconds: number;
  steps: { step: number; values: Record<string, number> }[];
};

/** The fixture's file by our writer. */
const own = Buffer.concat([
  versionRecord(fixture.startSeconds),
  ...fixture.steps.map((each, i) => scalarsRecord({ ...each, wallTimeSeconds: fixture.startSeconds + i })),
]);

describe('event files', () => {
  it("have the bytes of TensorBoard's own package", () => {
    expect(own.equals(oracle)).toBe(true);
  });

  it('are read back: the steps, and the names that each has', () => {
    const { events, wholeBytes } = readEventFile(oracle);
    expect(events).toEqual(fixture.steps.map(({ step, values }) => ({ step, tags: Object.keys(values) })));
    expect(wholeBytes).toBe(oracle.length);
    expect(readEventFile(versionRecord(1)).events).toEqual([]);
    const first = Buffer.concat([
      versionRecord(1),
      scalarsRecord({ wallTimeSeconds: 1, step: 0, values: { loss: 1 } }),
    ]);
    expect(readEventFile(first).events).toEqual([{ step: 0, tags: ['loss'] }]);
  });

  it('end before a record that is torn or damaged', () => {
    const version = versionRecord(fixture.startSeconds).length;
    for (const cut of [1, 5, 13]) {
      const { wholeBytes } = readEventFile(own.subarray(0, own.length - cut));
      expect(own.subarray(0, wholeBytes).equals(oracle.subarray(0, wholeBytes))).toBe(true);
      expect(wholeBytes).toBeLessThan(own.length - cut);
    }
    const damaged = Buffer.from(own);
    damaged[version + 20] = (damaged[version + 20] ?? 0) ^ 1;
    expect(readEventFile(damaged)).toEqual({ events: [], wholeBytes: version });
  });
});
