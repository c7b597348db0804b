/**
 * @file How far the other ranker's odds can be trusted, by the prompts that the first ranker judged too: it says where a label
 * tells most about that, and corrects the soft labels of what the first is not asked about.
 */
import { logOddsOver } from '../../rank/win-probability.ts';
import type { Recipe } from '../../recipe/schema.ts';
import { type Calibration, calibrationBy } from '../../select/calibration.ts';
import { comparisonsOf } from './comparisons.ts';
import type { IterationContext } from './stage.ts';

/** Whether a run learns this at all: its questions are chosen for it, and another ranker is there to be corrected. */
export function learnsCalibration({ select }: Pick<Recipe, 'select'>): boolean {
  return select?.prompts === 'calibration' && select.beliefs === 'otherwise';
}

/** The other ranker's calibration by everything that both judged so far, this iteration included; null where none is learned. */
export function calibrationOf(
  context: Pick<IterationContext, 'recipe' | 'ledger' | 'ranker' | 'secondRanker' | 'iteration'>,
): Calibration | null {
  const { recipe, ledger, secondRanker, iteration } = context;
  if (secondRanker === null || !learnsCalibration(recipe)) return null;
  const gaps = Array.from({ length: iteration }, (_, before) => before + 1).flatMap((t) => {
    const compared = comparisonsOf(context, t);
    return ledger.rankings(t).flatMap((ranking) => {
      const own = compared.get(ranking.promptId);
      if (ranking.rankerId !== secondRanker.id || ranking.problem !== undefined || own === undefined) return [];
      const [winner, loser] = [own.chosen, own.rejected].map((text) =>
        ranking.candidates.findIndex((each) => each.text === text),
      );
      // What somebody wrote in place of a candidate the other ranker has not seen.
      if (winner === undefined || loser === undefined || winner < 0 || loser < 0) return [];
      return [logOddsOver(ranking.candidates, ranking, [winner, loser])];
    });
  });
  return calibrationBy(gaps);
}
