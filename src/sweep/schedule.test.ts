/** @file The order in which runs of a sweep begin, what a failure and a stop do to the others, and what a finished one costs. */
import { expect, it } from 'vitest';
import type { PlannedRun } from './plan.ts';
import { type RunEnd, runAll, type ScheduleOptions, type SweepEvent } from './schedule.ts';

const runs = ['a', 'b', 'c', 'd'].map((arm) => ({ arm, seed: 1 }) as PlannedRun);

/** Runs all of them; `started` has those under way, by arm, for the test to end. */
function begin(options: Partial<ScheduleOptions> = {}) {
  const started = new Map<string, { end: (end: RunEnd) => void; stopped: boolean }>();
  const events: SweepEvent[] = [];
  const ends = runAll(runs, {
    parallel: 1,
    signal: new AbortController().signal,
    standing: () => 'new',
    start: ({ arm }) => {
      const run = { end: (_: RunEnd): void => {}, stopped: false };
      const ended = new Promise<RunEnd>((resolve) => {
        run.end = resolve;
      });
      started.set(arm, run);
      return {
        ended,
        stop: () => {
          run.stopped = true;
        },
      };
    },
    watch: (event) => void events.push(event),
    ...options,
  });
  return { started, events, ends };
}

const finished: RunEnd = { kind: 'finished' };
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('begins as many as may run at once, and the next when one ends', async () => {
  const { started, ends } = begin({ parallel: 2 });
  await settled();
  expect([...started.keys()]).toEqual(['a', 'b']);
  started.get('b')?.end(finished);
  await settled();
  expect([...started.keys()]).toEqual(['a', 'b', 'c']);
  for (const arm of ['a', 'c']) started.get(arm)?.end(finished);
  await settled();
  started.get('d')?.end(finished);
  expect(await ends).toEqual([finished, finished, finished, finished]);
});

it('goes on with the others when one fails', async () => {
  const failed: RunEnd = { kind: 'failed', code: 'X', message: 'no' };
  const { started, ends } = begin({ parallel: 4 });
  await settled();
  for (const [arm, { end }] of started) end(arm === 'b' ? failed : finished);
  expect(await ends).toEqual([finished, failed, finished, finished]);
});

it('starts no process for a run that is finished, and says so', async () => {
  const { started, ends, events } = begin({ standing: ({ arm }) => (arm === 'c' ? 'begun' : 'finished') });
  await settled();
  expect([...started.keys()]).toEqual(['c']);
  expect(events.filter(({ kind }) => kind === 'run-started')).toEqual([
    expect.objectContaining({ index: 2, isNew: false }),
  ]);
  started.get('c')?.end(finished);
  expect((await ends).map(({ kind }) => kind)).toEqual([
    'already-finished',
    'already-finished',
    'finished',
    'already-finished',
  ]);
});

it('asks what is under way to stop on a signal, waits for it, and begins nothing more', async () => {
  const controller = new AbortController();
  const { started, ends } = begin({ parallel: 2, signal: controller.signal });
  await settled();
  controller.abort();
  expect([...started.values()].map(({ stopped }) => stopped)).toEqual([true, true]);
  started.get('a')?.end({ kind: 'stopped' });
  started.get('b')?.end(finished);
  expect((await ends).map(({ kind }) => kind)).toEqual(['stopped', 'finished', 'stopped', 'stopped']);
  expect(started.size).toBe(2);
});
