/**
 * @file How different a policy's responses are from each other: the sign of a policy that explores, or of one that has
 * collapsed onto one answer. Pure, and linear in the words.
 */
import { distinctShare, mean, wordsOf } from './statistics.ts';

/** Diversity of a set of responses. Compare sets of equal size only. */
export interface Diversity {
  /** distinct-1, -2 and -3 over all responses. */
  distinct: [number, number, number];
  /** Mean BLEU-4 of each response against all others: 1 for equal texts. Null for fewer than two. */
  selfBleu: number | null;
}

export function diversityOf(texts: readonly string[]): Diversity {
  return {
    distinct: [distinctShare(texts, 1), distinctShare(texts, 2), distinctShare(texts, 3)],
    selfBleu: texts.length < 2 ? null : mean(selfBleus(texts)),
  };
}

const ORDERS = [1, 2, 3, 4];
/** Stands for a count of 0 in one order: NLTK's SmoothingFunction().method1, which Self-BLEU is reported with. */
const SMALL = 0.1;

/**
 * BLEU-4 of every text with all the others as its references (Self-BLEU: Zhu et al. 2018, https://arxiv.org/abs/1802.01886;
 * BLEU: Papineni et al. 2002, clipped counts, closest reference length). The highest count of an n-gram among the others
 * is the highest of all, or the second highest for the one text that has the highest: no text is compared with another.
 */
export function selfBleus(texts: readonly string[]): number[] {
  const words = texts.map(wordsOf);
  const lengths = words.map(({ length }) => length).sort((a, b) => a - b);
  const orders = ORDERS.map((n) => {
    const counts = words.map((own) => gramCounts(own, n));
    return { counts, peaks: peaksOf(counts) };
  });
  return words.map((own, text) => {
    const precisions = orders.map(({ counts, peaks }) => {
      let matched = 0;
      let total = 0;
      for (const [gram, count] of counts[text] ?? []) {
        const peak = peaks.get(gram);
        const others = peak === undefined ? 0 : peak.owner === text ? peak.second : peak.first;
        matched += Math.min(count, others);
        total += count;
      }
      return { matched, total: Math.max(1, total) };
    });
    if ((precisions[0]?.matched ?? 0) === 0) return 0;
    const logs = precisions.map(({ matched, total }) => Math.log((matched === 0 ? SMALL : matched) / total));
    return brevity(own.length, lengths) * Math.exp(mean(logs));
  });
}

function gramCounts(words: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let start = 0; start + n <= words.length; start++) {
    const gram = words.slice(start, start + n).join(' ');
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}

/** Of every n-gram the highest count in one text, that text, and the highest count in any other. */
function peaksOf(
  texts: readonly ReadonlyMap<string, number>[],
): Map<string, { first: number; owner: number; second: number }> {
  const peaks = new Map<string, { first: number; owner: number; second: number }>();
  for (const [owner, counts] of texts.entries()) {
    for (const [gram, count] of counts) {
      const known = peaks.get(gram);
      if (known === undefined) peaks.set(gram, { first: count, owner, second: 0 });
      else if (count > known.first) peaks.set(gram, { first: count, owner, second: known.first });
      else known.second = Math.max(known.second, count);
    }
  }
  return peaks;
}

/** BLEU's penalty for a text shorter than the closest length among the others (of two as close, the shorter). */
function brevity(length: number, sorted: readonly number[]): number {
  if (length === 0) return 0;
  const own = sorted.indexOf(length);
  const others = [...sorted.slice(0, own), ...sorted.slice(own + 1)];
  const closest = others.reduce(
    (best, other) => (Math.abs(other - length) < Math.abs(best - length) ? other : best),
    others[0] ?? length,
  );
  return length > closest ? 1 : Math.exp(1 - closest / length);
}
