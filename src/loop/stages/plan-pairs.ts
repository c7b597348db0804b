/** @file The plan of a training on pairs: the iteration's own, or the data's in a warm start. */
import { DataError } from '../../errors.ts';
import type { ResponseRecord } from '../../store/ledger-rows.ts';
import { treeKey } from './reference.ts';
import { samplerGaps } from './sampler-gap.ts';
import type { IterationContext } from './stage.ts';
import { tokenisePairs } from './tokens.ts';
import {
  learnedIterations,
  planId,
  rowsByPrompt,
  stepsOf,
  type TrainingPlan,
  type TrainingStart,
  type TrainStageInput,
} from './training-plan.ts';

/** Plans a training on pairs. Throws DataError PAIRS_EQUAL where cutting left no two different responses. */
export function planPairs(context: IterationContext, input: TrainStageInput, start: TrainingStart): TrainingPlan {
  const { recipe, ledger, iteration, announce } = context;
  const { objective } = input;
  const { policySha256, referenceSha256 } = start;
  const pairs = learnedIterations(context).flatMap((each) => ledger.pairs(each));
  const { trees, counts } = tokenisePairs(context, pairs, { rows: rowsByPrompt(input), objective });
  if (counts.promptsCut + counts.responsesCut > 0) {
    announce({
      kind: 'note',
      text: `Cut to text.maxLength: ${counts.promptsCut} prompts, ${counts.responsesCut} responses of iteration ${iteration}`,
    });
  }
  if (counts.equalPairs > 0) {
    const text = `Left out of iteration ${iteration}: ${counts.equalPairs} pairs whose responses are the same tokens once they are cut to text.maxLength`;
    announce({ kind: 'warning', text });
  }
  if (trees.length === 0 && pairs.length > 0) {
    throw new DataError(
      'PAIRS_EQUAL',
      `Cannot train iteration ${iteration}: the responses of all its ${pairs.length} pairs are the same tokens once they are cut: raise text.maxLength (${recipe.text.maxLength})`,
      { details: { iteration, pairs: pairs.length } },
    );
  }
  const steps = stepsOf(context, trees);
  const decided = trees.map(({ label, ...tree }) => [
    treeKey(tree),
    tree.winProbabilities,
    ...(label === undefined ? [] : [label]),
  ]);
  const id = planId(context, start, { trees: decided, steps, objective });
  const startsAtReference = policySha256 === referenceSha256;
  return {
    steps,
    scored: steps,
    unit: 'pairs',
    count: trees.length,
    id,
    lessonOf: (reference) => ({ kind: 'preferences', reference, startsAtReference, objective }),
    metricsOf: (reference) => samplerGaps({ steps, referenceSha256, reference, responsesOf: responsesByPair(context) }),
  };
}

/** What the iteration's policy said to the prompt of each pair. */
function responsesByPair({ ledger, iteration }: IterationContext): (pairId: string) => readonly ResponseRecord[] {
  const byPrompt = new Map<string, ResponseRecord[]>();
  for (const response of ledger.responses(iteration))
    byPrompt.set(response.promptId, [...(byPrompt.get(response.promptId) ?? []), response]);
  const promptOf = new Map(ledger.pairs(iteration).map(({ pairId, promptId }) => [pairId, promptId]));
  return (pairId) => byPrompt.get(promptOf.get(pairId) ?? '') ?? [];
}
