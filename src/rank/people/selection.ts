/**
 * @file Which prompts people are asked about when they have less time than there are prompts: where the first ranker is most in
 * doubt, and always some that nothing but chance has chosen, so that what doubt finds can be compared with what is usual. Pure.
 */

/** Share of the answers that goes to prompts drawn at random, where others are chosen by doubt. */
export const CONTROL_SHARE = 0.1;

/** An item that people could be asked about. */
export interface Selectable {
  key: string;
  /** Most answers that it can take. */
  cost: number;
  /** How sure another ranker is, 0 not at all; null: the item was drawn at random. */
  sureness: number | null;
}

/**
 * The keys of the items to ask about, those asked first in front: of the drawn ones a tenth of the budget, then those in doubt,
 * the least sure first, then more drawn ones. An item that would take more answers than are left is passed over. The draw is
 * by the keys, which are hashes: the same items give the same draw.
 *
 * @param budget answers; null asks about all
 */
export function selectItems(items: readonly Selectable[], budget: number | null): string[] {
  const byKey = (a: Selectable, b: Selectable): number => (a.key < b.key ? -1 : 1);
  const drawn = items.filter(({ sureness }) => sureness === null).sort(byKey);
  const doubtful = items
    .filter(({ sureness }) => sureness !== null)
    .sort((a, b) => (a.sureness ?? 0) - (b.sureness ?? 0) || byKey(a, b));
  let left = budget ?? Number.POSITIVE_INFINITY;
  const taken = new Set<string>();
  const take = (from: readonly Selectable[], most: number): void => {
    let share = Math.min(left, most);
    for (const { key, cost } of from) {
      if (cost > share || taken.has(key)) continue;
      taken.add(key);
      share -= cost;
      left -= cost;
    }
  };
  if (budget !== null && doubtful.length > 0) take(drawn, Math.max(drawn[0]?.cost ?? 0, budget * CONTROL_SHARE));
  take(doubtful, left);
  take(drawn, left);
  return [...taken];
}

/** Most questions that put so many texts in order (order.ts): each is inserted into those before it by halving. */
export function mostQuestions(texts: number): number {
  return Array.from({ length: texts }, (_, before) => Math.ceil(Math.log2(before + 1))).reduce((sum, n) => sum + n, 0);
}
