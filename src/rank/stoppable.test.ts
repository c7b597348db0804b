/** @file A ranker that waits for ever, and a signal. */
import { expect, test } from 'vitest';
import { InterruptedError } from '../errors.ts';
import { type Ranker, type RankItem, rankingFromScores } from './ranker.ts';
import { stoppable } from './stoppable.ts';

const item = (promptId: string): RankItem => ({ promptId, prompt: { kind: 'text', text: '' }, candidates: [] });

async function* stream(...ids: string[]): AsyncGenerator<RankItem> {
  for (const id of ids) yield item(id);
}

/** Answers `quick` at once, and nothing else ever. */
const slow: Ranker = {
  id: 'slow',
  gives: 'scores',
  async *rank(items) {
    for await (const { promptId } of items) {
      if (promptId !== 'quick') await new Promise(() => {});
      yield rankingFromScores(promptId, [1]);
    }
  },
  textHealth: async () => null,
  close: async () => {},
};

test('a signal ends the wait with its reason; what was ranked before has been given out', async () => {
  const controller = new AbortController();
  const reason = new InterruptedError('INTERRUPTED', 'stopped by SIGTERM');
  const ranked: string[] = [];
  const running = (async () => {
    for await (const { promptId } of stoppable(slow, controller.signal).rank(stream('quick', 'never')))
      ranked.push(promptId);
  })();
  setTimeout(() => controller.abort(reason), 5);
  await expect(running).rejects.toBe(reason);
  expect(ranked).toEqual(['quick']);
});

test('a signal that came before ends it at once; without one the ranker is as it was', async () => {
  const rankings = stoppable(slow, AbortSignal.abort(new Error('before'))).rank(stream('quick'));
  await expect(rankings[Symbol.asyncIterator]().next()).rejects.toThrow('before');
  expect(stoppable(slow, undefined)).toBe(slow);
  const ids: string[] = [];
  for await (const { promptId } of stoppable(slow, new AbortController().signal).rank(stream('quick', 'quick')))
    ids.push(promptId);
  expect(ids).toEqual(['quick', 'quick']);
});

test('a ranker that fails as the signal comes is stopped, not broken: Ctrl-C reaches its processes too', async () => {
  const controller = new AbortController();
  const broken: Ranker = {
    ...slow,
    async *rank() {
      setImmediate(() => controller.abort(new Error('stopped')));
      throw new Error('its process ended');
    },
  };
  const rankings = stoppable(broken, controller.signal).rank(stream('quick'));
  await expect(rankings[Symbol.asyncIterator]().next()).rejects.toThrow('stopped');
  const failing = stoppable(broken, new AbortController().signal).rank(stream('quick'));
  await expect(failing[Symbol.asyncIterator]().next()).rejects.toThrow('its process ended');
});
