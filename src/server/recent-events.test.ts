import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { EVENT_LOG_NAME } from '../store/event-log.ts';
import { RecentEvents } from './recent-events.ts';

const line = (text: string): string => `${JSON.stringify({ kind: 'note', timeMs: 1, iteration: 1, text })}\n`;
const textsOf = (recent: RecentEvents): string[] =>
  recent.events().map((event) => (event.kind === 'note' ? event.text : event.kind));

test('what was appended is read on, half a line when it is whole, and the last 500 are kept', () => {
  const folder = temporaryFolder();
  const log = join(folder, EVENT_LOG_NAME);
  const recent = new RecentEvents(folder);
  expect(textsOf(recent)).toEqual([]);
  writeFileSync(log, line('one'));
  expect(textsOf(recent)).toEqual(['one']);
  appendFileSync(log, line('two').slice(0, 10));
  expect(textsOf(recent)).toEqual(['one']);
  appendFileSync(log, line('two').slice(10));
  expect(textsOf(recent)).toEqual(['one', 'two']);
  appendFileSync(log, Array.from({ length: 600 }, (_, n) => line(`n${n}`)).join(''));
  expect(textsOf(recent).slice(0, 1)).toEqual(['n100']);
  expect(textsOf(recent)).toHaveLength(500);
});

test('a log that was begun anew is read anew', () => {
  const folder = temporaryFolder();
  const log = join(folder, EVENT_LOG_NAME);
  const recent = new RecentEvents(folder);
  writeFileSync(log, line('a long text of the first run'));
  recent.events();
  writeFileSync(log, line('new'));
  expect(textsOf(recent)).toEqual(['new']);
});
