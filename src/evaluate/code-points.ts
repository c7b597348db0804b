/** @file Lengths of texts as Python counts them. */

/** Code points: a pair of surrogates is one. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}
