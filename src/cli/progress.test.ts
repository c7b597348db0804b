import { expect, test } from 'vitest';
import type { LoopEvent, Notice } from '../store/events.ts';
import { openProgress, tolerant } from './progress.ts';

/** A notice of the run that the progress is about. */
const eventOf = (notice: Notice): LoopEvent => ({ ...notice, run: 'first', iteration: 1, timeMs: 0, sequence: 1 });
const started = eventOf({ kind: 'stage-started', stage: 'sample', total: 256, done: 0, unit: 'responses' });

/** What is written for events that come at given milliseconds. */
function show(events: [atMs: number, event: LoopEvent][], columns?: number): string {
  let now = 0;
  let text = '';
  const output = {
    columns,
    write: (part: string): void => {
      text += part;
    },
  };
  const progress = openProgress(output, { run: 'first', iterations: 3, clock: () => now });
  for (const [atMs, event] of events) {
    now = atMs;
    progress.watch(event);
  }
  progress.close();
  return text;
}

const progress = (done: number): LoopEvent => eventOf({ kind: 'stage-progress', stage: 'sample', done, total: 256 });

test('openProgress() draws a bar with count, rate and time left on a terminal', () => {
  const text = show(
    [
      [0, started],
      [10_000, progress(64)],
    ],
    120,
  );
  expect(text).toContain('iteration 1/3 sample    ██████░░░░░░░░░░░░░░░░░░ 64/256 responses, 6.4/s, 30 s left');
});

test('openProgress() never draws a bar wider than the terminal', () => {
  const text = show(
    [
      [0, started],
      [10_000, progress(64)],
    ],
    40,
  );
  const drawn = text.split('\r\x1b[2K').filter((part) => part !== '');
  expect(drawn.length).toBeGreaterThan(0);
  for (const line of drawn) expect(line.length).toBeLessThan(40);
});

test('openProgress() draws at most ten bars a second, and takes the last one away', () => {
  const events = Array.from({ length: 100 }, (_, i): [number, LoopEvent] => [i * 10, progress(i)]);
  const text = show([[0, started], ...events], 120);
  expect(text.split('█').length).toBeLessThan(200);
  expect(text.match(/responses/g)?.length).toBeLessThanOrEqual(11);
  expect(text.endsWith('\r\x1b[2K')).toBe(true);
});

test('openProgress() prints plain lines where there is no terminal, one in ten seconds', () => {
  const events = Array.from({ length: 60 }, (_, i): [number, LoopEvent] => [(i + 1) * 500, progress(i + 1)]);
  const lines = show([[0, started], ...events])
    .trimEnd()
    .split('\n');
  expect(lines[0]).toBe('iteration 1/3 sample     256 responses');
  expect(lines).toHaveLength(4);
  expect(lines[1]).toMatch(/20\/256 responses, 2\.0\/s, 1 min 58 s left/);
  expect(lines.join('')).not.toContain('\x1b');
});

test('openProgress() counts the rate of what this attempt did, not of what was there', () => {
  const resumed = { ...started, done: 200 };
  const text = show(
    [
      [0, resumed],
      [10_000, progress(220)],
    ],
    120,
  );
  expect(text).toContain('256 responses, 200 of them done already');
  expect(text).toContain('220/256 responses, 2.0/s, 18 s left');
});

test('openProgress() names the twin', () => {
  expect(show([[0, { ...started, run: 'first-twin' }]])).toContain('twin, iteration 1/3 sample');
});

test('openProgress() shows one bar of a run and a twin beside it, the lines of both, and whose a note is', () => {
  const twin = (notice: Notice): LoopEvent => ({ ...eventOf(notice), run: 'first-twin' });
  const finished: Notice = { kind: 'stage-finished', stage: 'sample', seconds: 1, summary: '256 responses' };
  const beside: Notice = { kind: 'stage-progress', stage: 'sample', done: 77, total: 256 };
  const text = show(
    [
      [0, started],
      [0, twin({ kind: 'stage-started', stage: 'sample', total: 256, done: 0, unit: 'responses' })],
      [1000, twin(beside)],
      [2000, progress(64)],
      [3000, twin({ kind: 'note', text: '3 pairs' })],
      [4000, eventOf(finished)],
      [5000, twin({ ...beside, done: 78 })],
      [6000, twin(finished)],
    ],
    120,
  );
  const shown = text.split('\r\x1b[2K').flatMap((part) => part.split('\n').filter((line) => line !== ''));
  expect(shown.map((part) => part.replace(/ +[█░]+/, '').replace(/ {2,}/g, ' '))).toEqual([
    'iteration 1/3 sample 0/256 responses',
    'iteration 1/3 sample 64/256 responses, 32/s, 6.0 s left',
    'twin: 3 pairs',
    'iteration 1/3 sample 256 responses (1.0 s)',
    'twin, iteration 1/3 sample 78/256 responses, 16/s, 11 s left',
    'twin, iteration 1/3 sample 256 responses (1.0 s)',
  ]);
});

test('tolerant() leaves a display alone after its first failure, and says so once', () => {
  const reports: string[] = [];
  let calls = 0;
  const watch = tolerant(
    () => {
      calls++;
      throw new Error('EPIPE');
    },
    (text) => void reports.push(text),
  );
  watch(started);
  watch(started);
  expect(calls).toBe(1);
  expect(reports).toEqual(['The display failed and is off; the run goes on: EPIPE']);
});

test('openProgress() breaks lines between words where they are wider than the terminal, and marks warnings', () => {
  const warning = eventOf({ kind: 'warning', text: 'twelve of the responses are empty, which the reward may like' });
  const text = show([[0, warning]], 30);
  expect(text.split('\n')).toEqual([
    'warning: twelve of the',
    '  responses are empty, which',
    '  the reward may like',
    '',
  ]);
});
