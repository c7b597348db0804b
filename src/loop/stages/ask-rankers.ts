/**
 * @file What an iteration asks its rankers: the first about everything, or about what is selected under a budget of labels;
 * and a second one, for an opinion beside the first or a verdict where the first is not asked.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import { rankItems, rankWith, selectedItems } from './rank.ts';
import { askSecondOpinion, rankOtherwise, tellAgreement } from './second-opinion.ts';
import { openSelection, type SelectInput, type Selection } from './select.ts';
import { type IterationContext, runStage } from './stage.ts';

/** Selects, ranks, and asks for the second opinion: the stages that the recipe has of these. */
export async function askRankers(context: IterationContext, input: SelectInput): Promise<void> {
  const { rows } = input;
  const { select, secondOpinion } = context.recipe;
  const selection = await beginSelection(context, input);
  await runStage(context, 'rank', () => rankSelected(context, rows, { stage: 'rank', selection }));
  if (select?.otherwise) tellAgreement(context);
  if (secondOpinion !== null) await runStage(context, 'second-opinion', () => askSecondOpinion(context, rows));
}

/** Chooses what is asked first; null where everything is ranked. */
export async function beginSelection(context: IterationContext, input: SelectInput): Promise<Selection | null> {
  const { recipe, announce } = context;
  const { select } = recipe;
  if (select === null) return null;
  // Before the selection, which may go by what the other ranker says.
  if (select.otherwise !== null) await runStage(context, 'second-opinion', () => rankOtherwise(context, input.rows));
  const selection = openSelection(context, { ...input, settings: select });
  await runStage(context, 'select', async () => {
    announce({ kind: 'stage-started', stage: 'select', total: input.rows.length, done: 0, unit: 'prompts' });
    return (await selection.begin()) ?? 'nothing is asked about';
  });
  return selection;
}

/** Ranks what is selected, round after round; without a selection everything. What has its verdict is not asked again. */
export async function rankSelected(
  context: IterationContext,
  rows: readonly PreferenceRow[],
  { stage, selection }: { stage: 'rank' | 'label'; selection: Selection | null },
): Promise<string> {
  const { ledger, iteration, ranker, announce } = context;
  const items = rankItems(ledger, iteration, rows);
  for (;;) {
    const done = await rankWith(context, { stage, ranker, items: selectedItems(context, items) });
    const next = selection === null ? null : await selection.next();
    if (next === null) return done;
    announce({ kind: 'note', text: `Asked next, in ${next}` });
  }
}
