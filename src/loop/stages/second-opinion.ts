/**
 * @file The stage that asks a second ranker. It is asked on a random share of the prompts, to measure its agreement
 * with the first, and where the recipe says so on the prompts that leave the first in doubt and on those that it is not asked about.
 * The ranker of `select.otherwise` comes before: it ranks everything, and the first is asked about some. Both verdicts are kept.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import { agreementOf } from '../../evaluate/agreement.ts';
import { DRAWN, doubtOf } from '../../rank/doubt.ts';
import { describeRanker } from '../../rank/open.ts';
import { agreementText } from '../../report/rankers-section.ts';
import { opinionReason, opinionTables } from '../../store/opinions.ts';
import { rankItems, rankWith } from './rank.ts';
import type { IterationContext } from './stage.ts';

/** Asks the second ranker about what the ledger has no verdict of it on. */
export async function askSecondOpinion(context: IterationContext, rows: readonly PreferenceRow[]): Promise<string> {
  const { recipe, ledger, iteration, ranker, secondRanker } = context;
  if (secondRanker === null) return 'no second ranker';
  const firsts = ledger.rankings(iteration).filter(({ rankerId }) => rankerId === ranker.id);
  const name = describeRanker(recipe.ranker);
  const reasons = new Map(
    firsts.flatMap((first) => {
      const reason = opinionReason(recipe, first);
      if (reason === null) return [];
      return [[first.promptId, reason === 'drawn' ? DRAWN : doubtOf([...first.candidates], first, name)] as const];
    }),
  );
  const judged = new Set(firsts.map(({ promptId }) => promptId));
  const items = rankItems(ledger, iteration, rows).flatMap((item) => {
    const why = reasons.get(item.promptId);
    if (why !== undefined) return [{ ...item, why }];
    const isLeft = recipe.secondOpinion?.unasked === 'ranked' && !judged.has(item.promptId);
    return isLeft ? [{ ...item, why: `${name} was not asked about this one` }] : [];
  });
  const done = await rankWith(context, { stage: 'second-opinion', ranker: secondRanker, items });
  tellAgreement(context);
  return done;
}

/** Ranks everything by the ranker that decides where the first is not asked. */
export async function rankOtherwise(context: IterationContext, rows: readonly PreferenceRow[]): Promise<string> {
  const { ledger, iteration, secondRanker } = context;
  if (secondRanker === null) return 'no second ranker';
  return rankWith(context, {
    stage: 'second-opinion',
    ranker: secondRanker,
    items: rankItems(ledger, iteration, rows),
  });
}

/** Says how far the two rankers agree on what both judged. */
export function tellAgreement({ recipe, ledger, iteration, announce }: IterationContext): void {
  const { drawn, doubt } = opinionTables(recipe, ledger, iteration);
  for (const [tables, where] of [
    [drawn, 'prompts drawn at random'],
    [doubt, recipe.select === null ? 'prompts in doubt' : 'prompts that were selected'],
  ] as const) {
    const agreement = agreementOf(tables, recipe.seed);
    if (agreement !== null)
      announce({ kind: 'note', text: `Agreement of the rankers (${where}): ${agreementText(agreement)}` });
  }
}
