/** @file Compares two answers word by word: each word of an answer is marked as common to both or its own. */

/** A stretch of a text: in both, or only in this one. */
export interface Stretch {
  text: string;
  isOwn: boolean;
}

/** Longest texts that are compared word by word; of longer ones only the beginning is. */
const MOST_WORDS = 600;

/**
 * The stretches of `text` that are not in `other`, by a longest common subsequence of words. Together they are the text,
 * spaces included.
 */
export function wordDifferences(text: string, other: string): Stretch[] {
  const all = text.split(/(?<=\s)(?=\S)/);
  const words = all.slice(0, MOST_WORDS);
  const others = other.split(/\s+/).slice(0, MOST_WORDS);
  const common = commonWords(
    words.map((word) => word.trim()),
    others,
  );
  const stretches: Stretch[] = [];
  const add = (piece: string, isOwn: boolean): void => {
    const last = stretches.at(-1);
    if (last !== undefined && last.isOwn === isOwn) last.text += piece;
    else if (piece !== '') stretches.push({ text: piece, isOwn });
  };
  words.forEach((word, index) => {
    add(word, !common.has(index));
  });
  const rest = all.slice(MOST_WORDS).join('');
  if (rest !== '') add(rest, false);
  return stretches;
}

/** Places in `a` of a longest subsequence that `b` has too. */
function commonWords(a: readonly string[], b: readonly string[]): Set<number> {
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width); // of the rest of both from i and j on
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const found = new Set<number>();
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      found.add(i);
      i++;
      j++;
    } else if (at(i + 1, j) >= at(i, j + 1)) i++;
    else j++;
  }
  return found;
}
