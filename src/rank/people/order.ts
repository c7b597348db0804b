/**
 * @file An order from comparisons that come one by one: texts are inserted into the order so far by halving, so that a person
 * is asked as little as possible. Pure: the same answers give the same order and the same next question.
 */

/** What a person said of two texts; `skip`: nothing, and the prompt is left out. */
export type Comparison = 'first' | 'second' | 'tie' | 'skip';

/** `places`: groups of indices that share a place, best first. `asks`: the two indices to compare next. */
export type Ordering =
  | { kind: 'ordered'; places: number[][] }
  | { kind: 'asks'; first: number; second: number }
  | { kind: 'skipped' };

/** The order of `count` texts, or what must be asked before it is known. */
export function orderBy(count: number, compared: (first: number, second: number) => Comparison | null): Ordering {
  const places: number[][] = [];
  for (let index = 0; index < count; index++) {
    let [low, high] = [0, places.length];
    let isPlaced = false;
    while (low < high && !isPlaced) {
      const middle = Math.floor((low + high) / 2);
      const place = places[middle] ?? [];
      const other = place[0] ?? 0;
      const said = compared(index, other);
      switch (said) {
        case null:
          return { kind: 'asks', first: index, second: other };
        case 'skip':
          return { kind: 'skipped' };
        case 'tie':
          place.push(index);
          isPlaced = true;
          break;
        case 'first':
          high = middle;
          break;
        case 'second':
          low = middle + 1;
      }
    }
    if (!isPlaced) places.splice(low, 0, [index]);
  }
  return { kind: 'ordered', places };
}

/** Most questions that put so many texts in order: each is inserted into those before it by halving. */
export function mostQuestions(texts: number): number {
  return Array.from({ length: texts }, (_, before) => Math.ceil(Math.log2(before + 1))).reduce((sum, n) => sum + n, 0);
}
