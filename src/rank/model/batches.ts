/** @file Work cut into batches by its tokens. Pure. */

/** Consecutive items of at most `maxTokens` tokens together; a longer one stands alone. */
export function batchesOf<Item>(items: readonly Item[], maxTokens: number, tokensOf: (item: Item) => number): Item[][] {
  const batches: Item[][] = [];
  let room = 0;
  for (const item of items) {
    const tokens = tokensOf(item);
    const last = batches.at(-1);
    if (last === undefined || tokens > room) {
      batches.push([item]);
      room = maxTokens - tokens;
    } else {
      last.push(item);
      room -= tokens;
    }
  }
  return batches;
}
