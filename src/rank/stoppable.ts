/** @file A ranker that a signal ends while it waits: for the user's function, or for a program. */
import type { Ranker, Ranking } from './ranker.ts';

/**
 * The ranker, but when the signal is aborted its rankings end at once with the signal's reason, whatever is under way: that
 * cost nothing and is done again. For a ranker that pays for its answers this is wrong: it hears the signal itself.
 */
export function stoppable(ranker: Ranker, signal: AbortSignal | undefined): Ranker {
  if (signal === undefined) return ranker;
  return {
    ...ranker,
    async *rank(items) {
      const rankings: AsyncIterator<Ranking> = ranker.rank(items)[Symbol.asyncIterator]();
      const done = new AbortController();
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true, signal: done.signal });
      });
      aborted.catch(() => undefined); // heard where it is raced; that may never be
      try {
        for (;;) {
          signal.throwIfAborted();
          const next = await Promise.race([rankings.next(), aborted]);
          if (next.done === true) return;
          yield next.value;
        }
      } finally {
        done.abort();
      }
    },
  };
}
