/**
 * @file What an iteration asks its rankers: the first about everything, or about what is selected under a budget of labels;
 * and a second one, for an opinion beside the first or a verdict where the first is not asked.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import { rankResponses } from './rank.ts';
import { askSecondOpinion, rankOtherwise, tellAgreement } from './second-opinion.ts';
import { selectQuestions } from './select.ts';
import { type IterationContext, runStage } from './stage.ts';

interface AskInput {
  rows: readonly PreferenceRow[];
  /** Rows of earlier slices, whose labels were given. */
  earlierRows?: readonly PreferenceRow[];
  policyDirectory: string;
}

/** Selects, ranks, and asks for the second opinion: the stages that the recipe has of these. */
export async function askRankers(context: IterationContext, input: AskInput): Promise<void> {
  const { rows } = input;
  const { select, secondOpinion } = context.recipe;
  if (select !== null) {
    // Before the selection, which may go by what the other ranker says.
    if (select.otherwise !== null) await runStage(context, 'second-opinion', () => rankOtherwise(context, rows));
    await runStage(context, 'select', () => selectQuestions(context, input));
  }
  await runStage(context, 'rank', () => rankResponses(context, rows));
  if (select?.otherwise) tellAgreement(context);
  if (secondOpinion !== null) await runStage(context, 'second-opinion', () => askSecondOpinion(context, rows));
}
