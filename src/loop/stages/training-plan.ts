/** @file What the training of an iteration is planned from and what a plan holds, whether it learns from pairs or from labels. */
import type { PreferenceRow } from '../../data/rows.ts';
import { sha256 } from '../../files/hash.ts';
import type { ObjectiveOptions } from '../../objective/objective.ts';
import { randomKey } from '../../random.ts';
import { decisiveSettings } from '../../recipe/decisive.ts';
import { epochsAt } from '../../recipe/iterations.ts';
import type { TokenTree, TreeLogProbs } from '../../score/trees.ts';
import { planSteps } from '../../train/plan.ts';
import type { StepMetrics } from '../../train/run-steps.ts';
import type { Lesson } from './lesson.ts';
import type { IterationContext } from './stage.ts';

export interface TrainStageInput {
  rows: readonly PreferenceRow[];
  /** Rows of earlier slices, for `accumulate`. */
  earlierRows?: readonly PreferenceRow[];
  policyDirectory: string;
  referenceDirectory: string;
  objective: ObjectiveOptions;
  /** Train although the stage is finished: its model is gone, and is made again. */
  again?: boolean;
}

/** The weights that a training starts from, by their hashes. */
export interface TrainingStart {
  policySha256: string;
  referenceSha256: string;
}

/** Everything that decides what training does, and a name for all of it. */
export interface TrainingPlan {
  steps: readonly (readonly TokenTree[])[];
  /** What the reference scores for them, step by step. */
  scored: readonly (readonly TokenTree[])[];
  /** What is learned from: `pairs`. */
  unit: string;
  /** How many of those. */
  count: number;
  /** Hash of weights, reference, tokens and settings: a checkpoint of another plan is not used. */
  id: string;
  /** The lesson, once the reference has scored. */
  lessonOf(reference: ReadonlyMap<string, TreeLogProbs>): Lesson;
  /** Numbers to put beside those of each step. */
  metricsOf(reference: ReadonlyMap<string, TreeLogProbs>): StepMetrics[];
}

/** The iterations whose verdicts are learned from: this one, with `accumulate` those before it too. */
export function learnedIterations({ recipe, iteration }: Pick<IterationContext, 'recipe' | 'iteration'>): number[] {
  const first = recipe.accumulate && iteration > 0 ? 1 : iteration;
  return Array.from({ length: iteration - first + 1 }, (_, i) => first + i);
}

/** The rows by their prompts, those of earlier slices too. */
export function rowsByPrompt({ rows, earlierRows = [] }: TrainStageInput): Map<string, PreferenceRow> {
  return new Map([...earlierRows, ...rows].map((row) => [row.promptId, row]));
}

/**
 * The name of a plan: a hash of the weights, the settings, and what is learned in which order.
 *
 * @param plan.trees what of each tree decides
 */
export function planId(
  { recipe, iteration }: Pick<IterationContext, 'recipe' | 'iteration'>,
  { policySha256, referenceSha256 }: TrainingStart,
  { trees, steps, objective }: { trees: readonly unknown[]; steps: TrainingPlan['steps']; objective: object },
): string {
  const order = steps.map((step) => step.map(({ pairId }) => pairId));
  const settings = decisiveSettings(recipe.training);
  return sha256(JSON.stringify([policySha256, referenceSha256, trees, order, objective, settings, iteration]));
}

/** Trees in their steps, shuffled anew in each epoch. */
export function stepsOf<Tree>(
  { recipe, iteration }: Pick<IterationContext, 'recipe' | 'iteration'>,
  trees: readonly Tree[],
): Tree[][] {
  const { training, seed } = recipe;
  const keys = Array.from({ length: epochsAt(training.epochs, iteration) }, (_, epoch) =>
    randomKey(seed, 'shuffle', iteration, epoch),
  );
  return planSteps(trees.length, { ...training, keys }).map((indices) =>
    indices.flatMap((index) => trees[index] ?? []),
  );
}
