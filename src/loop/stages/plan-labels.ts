/**
 * @file The plan of a training on labels: every text that people called good or bad when they compared, by KTO on single responses.
 * Two texts that were both bad make no pair, and two labels.
 */
import type { PreferenceRow } from '../../data/rows.ts';
import { RunError } from '../../errors.ts';
import type { LabelLoss } from '../../objective/labels.ts';
import type { PreferenceLoss } from '../../objective/preference.ts';
import { type Labelled, labelsOfVerdict } from '../../rank/labels.ts';
import type { Candidate } from '../../rank/ranker.ts';
import { renderResponse } from '../../text/rendering.ts';
import { mismatch, type ResponseTree, referenceSteps } from '../../train/labels.ts';
import { treeKey } from './reference.ts';
import type { IterationContext } from './stage.ts';
import { responsesToScore, rowOf } from './tokens.ts';
import {
  learnedIterations,
  planId,
  rowsByPrompt,
  stepsOf,
  type TrainingPlan,
  type TrainingStart,
  type TrainStageInput,
} from './training-plan.ts';

/** A label of an iteration. */
type IterationLabel = Labelled<Candidate> & { iteration: number; promptId: string };

/** Plans a training on labels. Throws RunError NO_LABELS where nothing was called good or bad. */
export function planLabels(
  context: IterationContext,
  input: TrainStageInput & { preference: Extract<PreferenceLoss, { kind: 'kto' }> },
  start: TrainingStart,
): TrainingPlan {
  const { recipe, iteration, announce } = context;
  const labels = learnedIterations(context).flatMap((each) => labelsOfIteration(context, each));
  if (labels.length === 0) {
    throw new RunError(
      'NO_LABELS',
      `Cannot train iteration ${iteration}: people called none of its texts good or bad: let them answer with more than ties and skips, or ask about more prompts (select.budget)`,
      { details: { iteration } },
    );
  }
  const good = labels.filter(({ isGood }) => isGood).length;
  announce({ kind: 'note', text: `Labels of iteration ${iteration}: ${good} good, ${labels.length - good} bad` });
  const trees = treesOf(context, labels, rowsByPrompt(input));
  const objective = labelLossOf(input.preference);
  const { maxLength } = recipe.text;
  const steps = stepsOf(context, trees).map((step, index) => mismatch(step, { name: String(index), maxLength }));
  const decided = trees.map((tree) => [treeKey(tree), tree.desirable]);
  const id = planId(context, start, { trees: decided, steps, objective });
  const startsAtReference = start.policySha256 === start.referenceSha256;
  return {
    steps,
    scored: referenceSteps(steps, objective),
    unit: 'labelled responses',
    count: trees.length,
    id,
    lessonOf: (reference) => ({ kind: 'labels', reference, startsAtReference, objective }),
    metricsOf: () => [],
  };
}

/** What the first ranker's verdicts of an iteration call good or bad, by prompt. */
function labelsOfIteration({ ledger, ranker }: IterationContext, iteration: number): IterationLabel[] {
  return ledger
    .rankings(iteration)
    .filter(({ rankerId, problem }) => rankerId === ranker.id && problem === undefined)
    .flatMap(({ promptId, candidates, ...verdict }) =>
      labelsOfVerdict(candidates, { promptId, ...verdict }).map((label) => ({ ...label, iteration, promptId })),
    );
}

/** A tree of each label; it is named by where its text comes from. */
function treesOf(
  context: IterationContext,
  labels: readonly IterationLabel[],
  rows: ReadonlyMap<string, PreferenceRow>,
): ResponseTree[] {
  const { tokenizer, recipe } = context;
  const responseOf = responsesToScore(context, new Set(labels.map(({ iteration }) => iteration)));
  return labels.map(({ iteration, promptId, text, isGood, kind, sampleIndex }) => {
    const name = `${iteration}/${promptId}/${kind}${sampleIndex ?? ''}`;
    const row = rowOf(rows, promptId, `label ${name}`);
    const response = responseOf({ iteration, promptId, row }, text, { kind, sampleIndex });
    const { promptIds, responseIds } = renderResponse(tokenizer, { prompt: row.prompt, response }, recipe.text);
    return {
      pairId: name,
      promptIds: Int32Array.from(promptIds),
      continuations: [Int32Array.from(responseIds)],
      desirable: isGood,
    };
  });
}

/** The same weights and pull, for single responses; the reference point is that of the paper and of TRL. */
function labelLossOf({ beta, chosenWeight, rejectedWeight }: Extract<PreferenceLoss, { kind: 'kto' }>): LabelLoss {
  return {
    kind: 'kto',
    beta,
    desirableWeight: chosenWeight,
    undesirableWeight: rejectedWeight,
    baseline: 'mismatched',
  };
}
