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

/** A budget, and how much of it may be spent now. */
export interface Budget {
  /** Labels; null asks everything, and draws from all of it. */
  readonly budget: number | null;
  /** Share of the budget that is drawn; above 0 it is one question at least. */
  readonly randomShare: number;
  /** Questions that were asked in earlier rounds. @default none */
  readonly already?: ReadonlySet<string>;
  /** Which round this is, of how many: a round spends what the ones before it left of its part. @default the only one */
  readonly round?: { readonly number: number; readonly of: number };
}

/**
 * The questions to ask now, those that chance chose in front. What is drawn depends on chance alone, whatever was learned in the
 * meantime, and comes first; the rest goes by value. A question that would take more labels than are left is passed over.
 */
export function withinBudget(
  questions: readonly Askable[],
  { budget, randomShare, already = new Set(), round = { number: 1, of: 1 } }: Budget,
): Asked[] {
  const byChance = [...questions].sort((a, b) => a.chance - b.chance);
  const byValue = [...byChance].sort((a, b) => b.value - a.value);
  const all = budget ?? labelsOf(questions);
  const spent = labelsOf(questions.filter(({ key }) => already.has(key)));
  const drawn =
    randomShare > 0 ? take(byChance, Math.min(all, Math.max(byChance[0]?.labels ?? 0, all * randomShare))) : [];
  const isDrawn = new Set(drawn.map(({ key }) => key));
  const isOpen = ({ key }: Askable): boolean => !already.has(key);
  const left = all - spent - labelsOf(drawn.filter(isOpen));
  const valued = take(
    byValue.filter((question) => isOpen(question) && !isDrawn.has(question.key)),
    left,
  );
  const now = take([...drawn.filter(isOpen), ...valued], Math.ceil((all * round.number) / round.of) - spent);
  return now.map(({ key }) => ({ key, isDrawn: isDrawn.has(key) }));
}

/** The first questions that fit into so many labels. */
function take(questions: readonly Askable[], most: number): Askable[] {
  let left = most;
  return questions.filter(({ labels }) => {
    if (labels > left) return false;
    left -= labels;
    return true;
  });
}

function labelsOf(questions: readonly Askable[]): number {
  return questions.reduce((sum, { labels }) => sum + labels, 0);
}
