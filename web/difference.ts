/** @file Where two texts differ, word by word. */

/** A piece of a text; `isOnlyHere`: the other text does not have it at this place. */
export interface Piece {
  text: string;
  isOnlyHere: boolean;
}

/** More words than this on one side are not compared: the work grows with the product. */
const MOST_WORDS = 800;

/** The pieces of `text` that `other` lacks, by a longest common subsequence of words; joined they are `text`. */
export function differences(text: string, other: string): Piece[] {
  const [here, there] = [wordsOf(text), wordsOf(other)];
  if (here.length > MOST_WORDS || there.length > MOST_WORDS) return [{ text, isOnlyHere: false }];
  const common = commonWords(here, there);
  const pieces: Piece[] = [];
  for (const [index, word] of here.entries()) {
    const isOnlyHere = !common.has(index);
    const last = pieces.at(-1);
    if (last !== undefined && last.isOnlyHere === isOnlyHere) last.text += word;
    else pieces.push({ text: word, isOnlyHere });
  }
  return pieces;
}

/** Words and what stands between them, each with the space behind it. */
function wordsOf(text: string): string[] {
  return text.match(/\s*[\p{L}\p{N}_']+|\s*[^\p{L}\p{N}_'\s]|\s+$/gu) ?? [];
}

/** Places in `here` of a longest common subsequence with `there`. */
function commonWords(here: readonly string[], there: readonly string[]): Set<number> {
  const width = there.length + 1;
  // lengths[i * width + j]: of a longest common subsequence of here[i..] and there[j..]
  const lengths = new Uint16Array((here.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = here.length - 1; i >= 0; i--) {
    for (let j = there.length - 1; j >= 0; j--) {
      lengths[i * width + j] = same(here[i], there[j]) ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const common = new Set<number>();
  for (let i = 0, j = 0; i < here.length && j < there.length; ) {
    if (same(here[i], there[j])) {
      common.add(i);
      i++;
      j++;
    } else if (at(i + 1, j) >= at(i, j + 1)) i++;
    else j++;
  }
  return common;
}

function same(a: string | undefined, b: string | undefined): boolean {
  return a?.trim() === b?.trim();
}
