/** @file Which right key a wrong one was meant to be: spelling first (case, `_`, `-`), then edit distance. */

/**
 * The candidate nearest to `word`, or null when none is near. Spellings that differ only in case, `_` and `-`
 * (`learning_rate`) always match; otherwise up to a third of the letters may differ.
 */
export function nearest(word: string, candidates: readonly string[]): string | null {
  const target = letters(word);
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(target.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(target, letters(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function letters(word: string): string {
  return word.toLowerCase().replaceAll(/[_-]/g, '');
}

/** Least number of insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
export function editDistance(a: string, b: string): number {
  // A key longer than this is no typing mistake; it bounds the work on hostile input.
  if (Math.max(a.length, b.length) > 64) return a === b ? 0 : Number.POSITIVE_INFINITY;
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? 0;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const replace = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let distance = Math.min(replace, at(i - 1, j) + 1, at(i, j - 1) + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) distance = Math.min(distance, at(i - 2, j - 2) + 1);
      row.push(distance);
    }
  }
  return at(a.length, b.length);
}
