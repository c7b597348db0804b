/** @file The pair that scores highest: what most rules come down to. */

/** Indices i, j of the highest score(i, j), i and j different; the first of equals. `count` is 2 or more. */
export function bestPair(count: number, score: (first: number, second: number) => number): readonly [number, number] {
  let best: readonly [number, number] = [0, 1];
  let highest = Number.NEGATIVE_INFINITY;
  for (let first = 0; first < count; first++) {
    for (let second = 0; second < count; second++) {
      if (first === second) continue;
      const value = score(first, second);
      if (value > highest) {
        highest = value;
        best = [first, second];
      }
    }
  }
  return best;
}
