/**
 * @file The stage that asks a second ranker: on a share of the prompts, drawn at random, so that its agreement with the first
 * can be told; and where the recipe says so, on the prompts that leave the first in doubt. Both verdicts are kept.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import { randomKey, uniformAt } from '../../random.ts';
import { inDoubt } from '../../rank/doubt.ts';
import type { Recipe } from '../../recipe/schema.ts';
import type { RankingRecord } from '../ledger.ts';
import { rankItems, rankWith } from './rank.ts';
import type { IterationContext } from './stage.ts';

/** Why a prompt gets a second opinion. A drawn prompt that is also in doubt counts as drawn: the draw stays random. */
export type OpinionReason = 'drawn' | 'doubt';

/** Whether and why a prompt gets a second opinion; of the recipe, the iteration and the first verdict alone. */
export function opinionReason(
  { seed, secondOpinion }: Pick<Recipe, 'seed' | 'secondOpinion'>,
  first: Omit<RankingRecord, 'rankerId' | 'candidates'>,
): OpinionReason | null {
  if (secondOpinion === null) return null;
  const { share, doubtMargin } = secondOpinion;
  if (uniformAt(randomKey(seed, 'second-opinion', first.iteration, first.promptId), 0) < share) return 'drawn';
  return doubtMargin !== null && inDoubt(first, doubtMargin) ? 'doubt' : null;
}

/** Asks the second ranker about what the ledger has no verdict of it on. */
export async function askSecondOpinion(context: IterationContext, rows: readonly PreferenceRow[]): Promise<string> {
  const { recipe, ledger, iteration, ranker, secondRanker } = context;
  if (secondRanker === null) return 'no second ranker';
  const reasons = new Map(
    ledger
      .rankings(iteration)
      .filter(({ rankerId }) => rankerId === ranker.id)
      .map((first) => [first.promptId, opinionReason(recipe, first)]),
  );
  const items = rankItems(ledger, iteration, rows).filter(({ promptId }) => (reasons.get(promptId) ?? null) !== null);
  return rankWith(context, { stage: 'second-opinion', ranker: secondRanker, items });
}
