/**
 * @file How often a policy's held-out answers are better than those of the base and of the policy before it, a tie one half, with
 * intervals over prompts. Two policies are compared on the prompts that both have a verdict on.
 */
import { z } from 'zod';
import { byPrompt, type WinRate, winRate } from '../evaluate/statistics.ts';
import { type Evaluation, type EvaluationData, onCommonPrompts } from './evaluations.ts';

/** Win rates of one policy. */
export interface WinRates {
  base: WinRate | null;
  /** Null for the first iteration too, whose previous policy is the base (or a warm start, which is not measured). */
  previous: WinRate | null;
}

const share = z.number();
const winRateSchema = z
  .object({ value: share, low: share, high: share, count: z.number(), wins: share, ties: share, losses: share })
  .nullable();

/** Parser of kept win rates. */
export const winRatesSchema = z.object({
  base: winRateSchema,
  previous: winRateSchema,
}) satisfies z.ZodType<WinRates>;

/** The win rates of an iteration among measurements of a run; null where nothing is to compare. */
export function winRatesOf(
  evaluations: ReadonlyMap<number, Evaluation>,
  { iteration, seed }: { iteration: number; seed: number },
): WinRates {
  const against = (other: number, compare: typeof overPrevious): WinRate | null => {
    const pair = new Map([...evaluations].filter(([each]) => each === iteration || each === other));
    const [common] = onCommonPrompts([pair]).runs;
    const [own, others] = [common?.get(iteration)?.data, common?.get(other)?.data];
    if (iteration === 0 || own === undefined || others === undefined || own.promptIds.length === 0) return null;
    return compare(own, others, seed);
  };
  return {
    base: against(0, overBase),
    previous: iteration === 1 ? null : against(iteration - 1, overPrevious),
  };
}

/** By the rewards of both. Throws DataError for evaluations that are empty or on different prompts. */
export function overBase(own: EvaluationData, base: EvaluationData, seed: number): WinRate {
  return winRate(byPrompt(own.promptIds, own.rewards), byPrompt(base.promptIds, base.rewards), seed);
}

/** By what the ranker said of both answers, where it was asked, else by the rewards of both; null without a verdict. */
export function overPrevious(own: EvaluationData, previous: EvaluationData, seed: number): WinRate | null {
  const { marginsOverPrevious: margins } = own;
  if (margins === null) return overBase(own, previous, seed);
  const judged = margins.map((margin) => !Number.isNaN(margin));
  const ours = byPrompt(
    own.promptIds.filter((_, place) => judged[place]),
    margins.filter((_, place) => judged[place]),
  );
  if (ours.size === 0) return null;
  // A margin is of one answer over the other: it is compared with no margin at all.
  return winRate(ours, new Map([...ours.keys()].map((promptId) => [promptId, [0]])), seed);
}
