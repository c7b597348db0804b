/** @file Several streams of results as one, in the order in which results come. */

/** Yields what any source gives as soon as it is there; ends when all have ended, or with the first error of one. */
export async function* merge<Result>(sources: readonly AsyncIterable<Result>[]): AsyncGenerator<Result> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const next = async (index: number) => ({ index, step: await iterators[index]?.next() });
  const waiting = new Map(iterators.map((_, index) => [index, next(index)]));
  for (const each of waiting.values()) each.catch(() => {}); // heard in the race, or not any more
  try {
    while (waiting.size > 0) {
      const { index, step } = await Promise.race(waiting.values());
      if (step === undefined || step.done === true) {
        waiting.delete(index);
        continue;
      }
      const following = next(index);
      following.catch(() => {});
      waiting.set(index, following);
      yield step.value;
    }
  } finally {
    for (const iterator of iterators) iterator.return?.().catch(() => {});
  }
}
