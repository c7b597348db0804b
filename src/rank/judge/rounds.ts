/** @file Who is compared with whom, in which order, and what the comparisons add up to. Pure. */
import { PythonRandom } from '../../python-random.ts';
import { randomKey, uniformAt } from '../../random.ts';

/** Which pairs are asked: a full round robin, or every response against one. */
export type Opponents = 'all' | 'one';

/** In which order a pair is shown: both, or one that is drawn by the texts, or by the prompt as alpaca_eval draws it. */
export type Orders = 'both' | 'random' | 'alpaca-eval';

/** Two responses as they are shown, by their index. */
export interface Showing {
  first: number;
  second: number;
}

/** What came of one showing. */
export interface Outcome extends Showing {
  /** For the first shown, in [0, 1]. */
  preference: number;
  /** A probability of the judge (`soft`), or a verdict that it wrote: 1, 0, or 0.5 for a tie. */
  form: 'soft' | 'verdict';
}

/** Pairs of the responses 0 .. count-1; with `one`, all against `anchor`. */
export function pairsToCompare(count: number, opponents: Opponents, anchor: number): [number, number][] {
  const indices = Array.from({ length: count }, (_, index) => index);
  switch (opponents) {
    case 'all':
      return indices.flatMap((a) => indices.slice(a + 1).map((b): [number, number] => [a, b]));
    case 'one':
      return indices.filter((index) => index !== anchor).map((index) => [anchor, index]);
  }
}

/** What is asked about the responses of one prompt, as in the recipe. */
export type JudgeTask = { kind: 'pairwise'; orders: Orders; opponents: Opponents } | { kind: 'rating' };

/** Questions about so many different responses to one prompt. */
export function questionCount(responses: number, task: JudgeTask): number {
  switch (task.kind) {
    case 'rating':
      return responses;
    case 'pairwise':
      return pairsToCompare(responses, task.opponents, 0).length * (task.orders === 'both' ? 2 : 1);
  }
}

/**
 * The orders in which a pair is shown: both, or one drawn by the texts or the prompt alone, so that it does not depend on a seed,
 * on a restart, or on who else competes.
 */
export function showings(
  [a, b]: [number, number],
  orders: Orders,
  { texts, prompt }: { texts: readonly string[]; prompt: string },
): Showing[] {
  const straight = { first: a, second: b };
  const switched = { first: b, second: a };
  switch (orders) {
    case 'both':
      return [straight, switched];
    case 'random': {
      // The pair as a set: the same two texts are shown in the same order wherever they meet.
      const [low, high] = [texts[a] ?? '', texts[b] ?? ''].sort();
      const swap = uniformAt(randomKey(0, 'judge-order', low ?? '', high ?? ''), 0) < 0.5;
      return [(texts[a] === low) === swap ? switched : straight];
    }
    case 'alpaca-eval':
      return [isSwitchedByAlpacaEval(prompt) ? switched : straight];
  }
}

/** Whether alpaca_eval shows the second output of an instruction first (`is_randomize_output_order`, its seed 0). */
export function isSwitchedByAlpacaEval(instruction: string): boolean {
  return new PythonRandom(`is_switched_outputs${instruction}0`).choices([false, true]) === true;
}

/**
 * Preference for `a` over `b` from all their showings. Probabilities are averaged. Of verdicts in words a win counts only
 * where both orders agree on it, else it is a tie (MT-Bench's rule); a probability among them counts by its side.
 */
export function combineOrders([a]: [number, number], outcomes: readonly Outcome[]): number {
  const forA = outcomes.map(({ first, preference }) => (first === a ? preference : 1 - preference));
  if (outcomes.every(({ form }) => form === 'soft')) return forA.reduce((sum, value) => sum + value, 0) / forA.length;
  const sides = forA.map((value) => Math.sign(value - 0.5));
  return sides.every((side) => side === sides[0]) ? 0.5 + (sides[0] ?? 0) / 2 : 0.5;
}

/** Score of each response: its mean preference over those it met, in [0, 1]; one half for who met nobody. */
export function scoresOf(count: number, results: readonly { pair: [number, number]; preference: number }[]): number[] {
  return Array.from({ length: count }, (_, index) => {
    const own = results.flatMap(({ pair: [a, b], preference }) =>
      a === index ? [preference] : b === index ? [1 - preference] : [],
    );
    return own.length === 0 ? 0.5 : own.reduce((sum, value) => sum + value, 0) / own.length;
  });
}
