import { expect, test } from 'vitest';
import type { LoggedEvent } from '../store/read-events.ts';
import { progressOf, secondsLeftOf } from './progress.ts';

const started = {
  kind: 'stage-started',
  stage: 'sample',
  iteration: 1,
  total: 100,
  done: 20,
  unit: 'responses',
} as const;
const at = (timeMs: number, done: number): LoggedEvent => ({
  kind: 'stage-progress',
  stage: 'sample',
  iteration: 1,
  done,
  total: 100,
  timeMs,
});

test('the rate counts what was done since the stage began, not what an earlier attempt did', () => {
  const progress = progressOf([{ ...started, timeMs: 0 }, at(5000, 30), at(10_000, 40)]);
  expect(progress).toMatchObject({ done: 40, total: 100, unit: 'responses', perSecond: 2, secondsLeft: 30 });
});

test('a stage whose beginning was too long ago has the rate of the events that are left', () => {
  expect(progressOf([at(5000, 30), at(6000, 34)])).toMatchObject({ perSecond: 4, unit: '' });
});

test('there is no progress between two stages, and none of a process that is gone', () => {
  const over: LoggedEvent = {
    kind: 'stage-finished',
    stage: 'sample',
    iteration: 1,
    seconds: 1,
    summary: '',
    timeMs: 7,
  };
  const opened: LoggedEvent = { kind: 'opened', formatVersion: 1, pid: 1, timeMs: 7 };
  expect(progressOf([{ ...started, timeMs: 0 }, at(5, 30), over])).toBeNull();
  expect(progressOf([{ ...started, timeMs: 0 }, at(5, 30), opened])).toBeNull();
  expect(progressOf([])).toBeNull();
});

test('the time left is the stage, the later stages of its iteration, and whole iterations as the latest one was', () => {
  const times = [
    { iteration: 0, stage: 'evaluate', seconds: 99 },
    { iteration: 1, stage: 'sample', seconds: 10 },
    { iteration: 1, stage: 'train', seconds: 20 },
    { iteration: 1, stage: 'evaluate', seconds: 5 },
    { iteration: 2, stage: 'sample', seconds: 12 },
  ];
  const place = { iteration: 2, stage: 'train' };
  expect(secondsLeftOf(times, { place, iterations: 3, ofStage: 7 })).toBe(7 + 5 + 35);
  expect(secondsLeftOf(times, { place: { iteration: 1, stage: 'train' }, iterations: 3, ofStage: 7 })).toBeNull();
});
