import { expect, test } from 'vitest';
import { type LoopEvent, openEvents } from './events.ts';

test('every event says whose it is, when it was told, and its place among all', () => {
  const events: LoopEvent[] = [];
  let now = 1000;
  const announceFor = openEvents(
    (event) => events.push(event),
    () => now++,
  );
  const first = announceFor({ run: 'a', iteration: 1 });
  const twin = announceFor({ run: 'a-twin', iteration: 2 });
  first({ kind: 'note', text: 'one' });
  twin({ kind: 'stage-skipped', stage: 'rank' });
  first({ kind: 'warning', text: 'three' });
  expect(events).toEqual([
    { kind: 'note', text: 'one', run: 'a', iteration: 1, timeMs: 1000, sequence: 1 },
    { kind: 'stage-skipped', stage: 'rank', run: 'a-twin', iteration: 2, timeMs: 1001, sequence: 2 },
    { kind: 'warning', text: 'three', run: 'a', iteration: 1, timeMs: 1002, sequence: 3 },
  ]);
});
