import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { encoded, Feed, type Look, msBetweenLooks, type Reader } from './feed.ts';

/** A page that keeps what it is told; `waiting`: bytes that it never takes. */
function page(waiting = 0): Reader & { text: string; isGone: boolean } {
  return {
    text: '',
    isGone: false,
    writableLength: waiting,
    write(bytes) {
      this.text += new TextDecoder().decode(bytes);
    },
    end() {
      this.isGone = true;
    },
    destroy() {
      this.isGone = true;
    },
  };
}

const said = (data: string): Look => ({ sent: [{ event: 'event', data, id: '7' }], isOver: false });

test('fifty pages are told by one look, the same bytes each', () => {
  let looks = 0;
  const feed = new Feed(() => said(String(++looks)), { lookMs: 60_000 });
  const pages = Array.from({ length: 50 }, () => page());
  for (const each of pages) feed.join(each);
  feed.look();
  expect(looks).toBe(1);
  expect(new Set(pages.map(({ text }) => text))).toEqual(new Set(['event: event\ndata: 1\nid: 7\n\n']));
  for (const each of pages) feed.leave(each);
});

test('many pages are told less often, so that all together take as many messages as a few', () => {
  expect([1, 25, 50, 100].map((pages) => msBetweenLooks(1000, pages))).toEqual([1000, 1000, 2000, 4000]);
});

test('nothing is looked at before somebody comes and after the last one left', async () => {
  let [looks, ended] = [0, 0];
  const feed = new Feed(
    () => {
      looks += 1;
      return said('x');
    },
    { lookMs: 2, ended: () => ended++ },
  );
  await setTimeout(20);
  expect(looks).toBe(0);
  const [first, second] = [page(), page()];
  feed.join(first);
  feed.join(second);
  await setTimeout(30);
  expect(looks).toBeGreaterThan(0);
  feed.leave(first);
  expect(ended).toBe(0);
  feed.leave(second);
  const before = looks;
  await setTimeout(20);
  expect([looks, ended]).toEqual([before, 1]);
});

test('a page that takes nothing is let go, and holds nobody up', () => {
  const feed = new Feed(() => said('x'), { lookMs: 60_000 });
  const [slow, quick] = [page(2 ** 21), page()];
  feed.join(slow);
  feed.join(quick);
  feed.look();
  expect([slow.isGone, slow.text, quick.isGone]).toEqual([true, '', false]);
  expect(quick.text).toContain('data: x');
  feed.leave(quick);
});

test('a look that fails, or finds the end, lets everybody go: they come back by themselves', async () => {
  const failing = new Feed(
    () => {
      throw new Error('no');
    },
    { lookMs: 2 },
  );
  const ending = new Feed(() => ({ sent: [{ event: 'reset', data: '{}' }], isOver: true }), { lookMs: 2 });
  const [first, second] = [page(), page()];
  failing.join(first);
  ending.join(second);
  await setTimeout(30);
  expect([first.isGone, second.isGone, second.text]).toEqual([true, true, 'event: reset\ndata: {}\n\n']);
});

test('a sign of life comes after fifteen seconds of silence', () => {
  const feed = new Feed(() => ({ sent: [], isOver: false }), { lookMs: 5000 });
  const reader = page();
  feed.join(reader);
  for (let look = 0; look < 3; look++) feed.look();
  expect(reader.text).toBe(new TextDecoder().decode(encoded([{ event: 'beat', data: '{}' }])));
  feed.leave(reader);
});
