/** @file Events of work in progress as an async iterable, for one reader. The work never waits for it. */

/** Kept for a reader who has not come yet; older ones are dropped, so that nobody reading costs no memory. */
const MOST_WAITING = 10_000;

/** Push events in, iterate them out. */
export class EventStream<Event> implements AsyncIterable<Event> {
  readonly #waiting: Event[] = [];
  #wake: (() => void) | null = null;
  #end: { error: unknown } | 'open' | 'closed' = 'open';

  push(event: Event): void {
    this.#waiting.push(event);
    if (this.#waiting.length > MOST_WAITING) this.#waiting.shift();
    this.#wake?.();
  }

  /** No event comes any more; with an error, the reader gets it after the last event. */
  close(failure?: { error: unknown }): void {
    this.#end = failure ?? 'closed';
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Event> {
    for (;;) {
      // One at a time: the reader may stop anywhere, and what it did not take stays.
      while (this.#waiting.length > 0) yield this.#waiting.shift() as Event;
      if (this.#end === 'closed') return;
      if (this.#end !== 'open') throw this.#end.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }
}
