/**
 * @file What is asked within a budget of labels: the questions that are worth most, and always a share that nothing but chance
 * has chosen, so that what a rule finds can be compared with what is usual. Pure.
 */

/** A question that could be asked. */
export interface Askable {
  readonly key: string;
  /** Labels that it takes at most. */
  readonly labels: number;
  /** The higher, the earlier it is asked. */
  readonly value: number;
  /** Uniform in [0, 1): decides what is drawn, and between equal values. */
  readonly chance: number;
}

/** A question that is asked. */
export interface Asked {
  readonly key: string;
  /** Whether nothing but chance chose it. */
  readonly isDrawn: boolean;
}

/**
 * The questions to ask, those that chance chose in front. Of the budget, `randomShare` (and where it is above 0, one question
 * at least) is drawn; the rest goes by value. A question that would take more labels than are left is passed over.
 *
 * @param budget labels; null asks everything, and draws from all of it
 */
export function withinBudget(
  questions: readonly Askable[],
  { budget, randomShare }: { budget: number | null; randomShare: number },
): Asked[] {
  const byChance = [...questions].sort((a, b) => a.chance - b.chance);
  const byValue = [...byChance].sort((a, b) => b.value - a.value);
  let left = budget ?? questions.reduce((sum, { labels }) => sum + labels, 0);
  const asked = new Map<string, Asked>();
  const take = (from: readonly Askable[], most: number, isDrawn: boolean): void => {
    let share = Math.min(left, most);
    for (const { key, labels } of from) {
      if (labels > share || asked.has(key)) continue;
      asked.set(key, { key, isDrawn });
      share -= labels;
      left -= labels;
    }
  };
  if (randomShare > 0) take(byChance, Math.max(byChance[0]?.labels ?? 0, left * randomShare), true);
  take(byValue, left, false);
  return [...asked.values()];
}
