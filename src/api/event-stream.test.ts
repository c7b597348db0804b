import { expect, test } from 'vitest';
import { EventStream } from './event-stream.ts';

async function collect<T>(events: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const event of events) all.push(event);
  return all;
}

test('an EventStream gives out what was pushed before and while it is read, in order, and ends when it is closed', async () => {
  const events = new EventStream<number>();
  events.push(1);
  const read = collect(events);
  for (const event of [2, 3]) {
    await new Promise((resolve) => setImmediate(resolve));
    events.push(event);
  }
  events.close();
  expect(await read).toEqual([1, 2, 3]);
});

test('an EventStream throws the failure after the last event', async () => {
  const events = new EventStream<number>();
  events.push(1);
  events.close({ error: new RangeError('gone') });
  const seen: number[] = [];
  const read = async (): Promise<void> => {
    for await (const event of events) seen.push(event);
  };
  await expect(read()).rejects.toThrow('gone');
  expect(seen).toEqual([1]);
});

test('an EventStream that nobody reads keeps the newest events only', async () => {
  const events = new EventStream<number>();
  for (let i = 0; i < 10_500; i++) events.push(i);
  events.close();
  const kept = await collect(events);
  expect(kept).toHaveLength(10_000);
  expect([kept[0], kept.at(-1)]).toEqual([500, 10_499]);
});
