import { appendFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { InterruptedError, RunError } from '../errors.ts';
import { nodeFs } from '../files/fs.ts';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { EVENT_LOG_NAME, type EventLogOptions, openEventLog } from './event-log.ts';
import { lastEvents, type ReadEvents, readEvents } from './read-events.ts';

const nobody = (): void => {};

function open(folder: string, options: EventLogOptions = {}) {
  const log = openEventLog(folder, options);
  onTestFinished(() => log.close());
  return log;
}

function kinds(read: ReadEvents | null): string[] {
  return (read?.events ?? []).map(({ event }) => event.kind);
}

test('what a run tells is written with its iteration and time, and told on', () => {
  const folder = temporaryFolder();
  const told: string[] = [];
  const announce = open(folder, { clock: () => 1000 }).through((notice) => told.push(notice.kind), { iteration: 2 });
  announce({ kind: 'metrics', step: 3, values: { loss: 0.5, grad_norm: Number.NaN } });
  const events = readEvents(folder, 0)?.events.map(({ event }) => event);
  expect(told).toEqual(['metrics']);
  expect(events).toEqual([
    { kind: 'opened', formatVersion: 1, pid: process.pid, timeMs: 1000 },
    { kind: 'heartbeat', residentBytes: expect.any(Number), timeMs: 1000 },
    { kind: 'metrics', step: 3, values: { loss: 0.5, grad_norm: null }, iteration: 2, timeMs: 1000 },
  ]);
});

test('a reader that gives the last id goes on behind it, also over a restart of the run', () => {
  const folder = temporaryFolder();
  const first = open(folder);
  const seen = readEvents(folder, 0);
  first.through(nobody, { iteration: 1 })({ kind: 'note', text: 'one' });
  first.close();
  open(folder).through(nobody, { iteration: 1 })({ kind: 'note', text: 'two' });
  const texts = readEvents(folder, seen?.lastId ?? -1)?.events.map(({ event }) =>
    'text' in event ? event.text : event.kind,
  );
  expect(texts).toEqual(['one', 'opened', 'heartbeat', 'two']);
});

test('reading piece by piece gives every event once, whatever the size of a piece', () => {
  const folder = temporaryFolder();
  const announce = open(folder).through(nobody, { iteration: 1 });
  for (let step = 0; step < 40; step++) announce({ kind: 'note', text: `n${'x'.repeat(step)}` });
  const whole = readEvents(folder, 0)?.events;
  for (const mostBytes of [200, 333, 1000]) {
    const found = [];
    for (let id = 0, before = -1; id !== before; ) {
      before = id;
      const part = readEvents(folder, id, { mostBytes });
      found.push(...(part?.events ?? []));
      id = part?.lastId ?? id;
    }
    expect(found).toEqual(whole);
  }
});

test.each([-1, 0.5, 7, 1e9, Number.NaN])('the id %s is none of a log whose first line is longer', (id) => {
  const folder = temporaryFolder();
  open(folder);
  expect(readEvents(folder, id)).toBeNull();
});

test('half a line of a process that died is passed over, and the next process begins a line of its own', () => {
  const folder = temporaryFolder();
  open(folder).close();
  const path = join(folder, EVENT_LOG_NAME);
  truncateSync(path, readFileSync(path).length - 10);
  open(folder);
  expect(kinds(readEvents(folder, 0))).toEqual(['opened', 'opened', 'heartbeat']);
});

test('a half line at the end is not read before it is whole', () => {
  const folder = temporaryFolder();
  open(folder);
  const before = readEvents(folder, 0);
  appendFileSync(join(folder, EVENT_LOG_NAME), '{"kind":"note"');
  expect(readEvents(folder, before?.lastId ?? -1)).toEqual({ events: [], lastId: before?.lastId, isAll: true });
});

test('lines of another program and one longer than a read do not hold a reader up', () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, EVENT_LOG_NAME), `null\n{"kind":"?"}\n{"a":${'['.repeat(5000)}\n${'x'.repeat(9000)}\n`);
  open(folder);
  const found: string[] = [];
  for (let id = 0, before = -1; id !== before; ) {
    before = id;
    const part = readEvents(folder, id, { mostBytes: 1000 });
    found.push(...kinds(part));
    id = part?.lastId ?? id;
  }
  expect(found).toEqual(['opened', 'heartbeat']);
});

test('progress is written at most twice a second, the first and the last of a stage always', () => {
  const folder = temporaryFolder();
  let now = 0;
  const announce = open(folder, { clock: () => now }).through(nobody, { iteration: 1 });
  announce({ kind: 'stage-started', stage: 'sample', total: 1000, done: 0, unit: 'responses' });
  for (let done = 1; done <= 1000; done++) {
    now += 2;
    announce({ kind: 'stage-progress', stage: 'sample', done, total: 1000 });
  }
  const done = readEvents(folder, 0)?.events.flatMap(({ event }) =>
    event.kind === 'stage-progress' ? [event.done] : [],
  );
  expect(done).toEqual([1, 251, 501, 751, 1000]);
});

test.each([
  { how: 'to its end', work: async () => 1, last: { kind: 'closed', outcome: 'finished' } },
  {
    how: 'to a stop',
    work: async () => Promise.reject(new InterruptedError('INTERRUPTED', 'stop')),
    last: { kind: 'closed', outcome: 'stopped' },
  },
  {
    how: 'to a failure',
    work: async () => Promise.reject(new RunError('SOME_CODE', 'no')),
    last: { kind: 'failed', code: 'SOME_CODE', message: 'no' },
  },
])('the log says that a run came $how', async ({ work, last }) => {
  const folder = temporaryFolder();
  await open(folder)
    .during(work)
    .catch(() => {});
  expect(lastEvents(folder).events.at(-1)?.event).toMatchObject(last);
});

test('a log that cannot be written is said once, and the run hears its events all the same', () => {
  const reports: string[] = [];
  const told: string[] = [];
  let full = false;
  const fs = {
    ...nodeFs,
    writeSync: ((...args: Parameters<typeof nodeFs.writeSync>) => {
      if (full) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      return nodeFs.writeSync(...args);
    }) as typeof nodeFs.writeSync,
  };
  const log = open(temporaryFolder(), { fs, report: (text) => reports.push(text) });
  const announce = log.through((notice) => told.push(notice.kind), { iteration: 1 });
  full = true;
  announce({ kind: 'note', text: 'a' });
  announce({ kind: 'note', text: 'b' });
  expect(told).toEqual(['note', 'note']);
  expect(reports).toEqual([
    expect.stringMatching(/^Whoever follows this run sees no more of it; the run goes on\. .*full/),
  ]);
});

test('a heartbeat comes every ten seconds', () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const folder = temporaryFolder();
  open(folder);
  vi.advanceTimersByTime(30_000);
  expect(kinds(readEvents(folder, 0))).toEqual(['opened', 'heartbeat', 'heartbeat', 'heartbeat', 'heartbeat']);
});
