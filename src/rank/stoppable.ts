/** @file A ranker that a signal ends while it waits: for the user's function, or for a program. */
import type { Ranker, Ranking } from './ranker.ts';

/** How long a failure waits for a signal that would explain it. */
const GRACE_MS = 50;

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
      } catch (error) {
        // Ctrl-C on a terminal reaches the ranker's own processes as well, and what they leave behind may be seen first.
        await new Promise((resolve) => setTimeout(resolve, GRACE_MS));
        signal.throwIfAborted();
        throw error;
      } finally {
        done.abort();
      }
    },
  };
}
