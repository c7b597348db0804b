/**
 * @file Work that pauses between micro-batches. No weight changes there, so that is where a request to stop is honoured: what
 * was added to the gradients is dropped, and the step is made again from its beginning.
 */

/** Work that yields at each pause and returns its result. A promise that it yields it waits for: other ranks. */
export type Pausing<Result> = Generator<Promise<void> | void, Result, void>;

/** Does the work without a pause; work that others share cannot be done so. */
export function withoutPause<Result>(work: Pausing<Result>): Result {
  for (;;) {
    const next = work.next();
    if (next.done === true) return next.value;
    if (next.value !== undefined) throw new Error('Work that waits for other ranks cannot be done without a pause');
  }
}

/** How work ended: at its end, or at a pause because of the signal. */
export type Ending<Result> = { kind: 'done'; result: Result } | { kind: 'stopped' };

/** Does the work; at each pause signals and readers of events have their turn, and an aborted signal stops it. */
export async function untilStopped<Result>(
  work: Pausing<Result>,
  signal: AbortSignal | undefined,
): Promise<Ending<Result>> {
  for (;;) {
    const next = work.next();
    if (next.done === true) return { kind: 'done', result: next.value };
    await (next.value ?? eventLoopTurn());
    if (signal?.aborted === true) return { kind: 'stopped' };
  }
}

/** Lets everything that waits in the event loop happen: signals are heard here. */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
