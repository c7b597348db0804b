/** @file What a recipe will do with so many rows: slices, pairs, steps and learning rates of each iteration. Pure. */
import type { Slice } from '../data/slices.ts';
import { ruleNeeds } from '../rank/pairing.ts';
import { mostQuestions } from '../rank/people/order.ts';
import { epochsAt, slicesOf } from '../recipe/iterations.ts';
import { learnsFromLabels } from '../recipe/objective.ts';
import type { Recipe } from '../recipe/schema.ts';
import { stepsPerEpoch } from '../train/plan.ts';
import { type LearningRateOptions, learningRateAt, scheduleOf } from '../train/schedule.ts';

/** One iteration before it runs; 0 is the warm start. */
export interface IterationPlan {
  iteration: number;
  slice: Slice;
  /** Responses to sample, and of those and the data the candidates that a ranker sees for each prompt. */
  responses: number;
  candidates: number;
  /** Prompts that the ranker is asked about: all, or as many as the budget of `select` allows. */
  asked: number;
  /** Pairs to train on if every prompt gives all it can: ties and equal texts give fewer. */
  pairs: number;
  schedule: LearningRateOptions;
  rates: { step: number; learningRate: number }[];
}

/** What the rows are like. */
export interface RowFacts {
  rows: number;
  /** Whether rows have a pair beside the prompt. */
  hasPairs: boolean;
}

/** The plan of every iteration, in order. DataError where the rows are too few. */
export function planOf(recipe: Recipe, facts: RowFacts): IterationPlan[] {
  const sliceOf = slicesOf(recipe, facts.rows);
  const plans: IterationPlan[] = [];
  for (let iteration = recipe.warmStart === 'dpo' ? 0 : 1; iteration <= recipe.iterations; iteration++) {
    const slice = sliceOf(iteration);
    const rows = slice.end - slice.start;
    const rule = iteration === 0 ? 'keep' : recipe.update;
    const { samples, referenceSamples } = recipe.sampling;
    const sampled = ruleNeeds(rule).samples ? samples + referenceSamples : 0;
    const candidates = ruleNeeds(rule).ranking ? sampled + (facts.hasPairs ? 2 : 0) : 0;
    const earlier = recipe.accumulate && iteration > 1 ? (plans.at(-1)?.pairs ?? 0) : 0;
    const asked = askedOf(recipe, { rows, candidates });
    const paired = leavesOut(recipe) && ruleNeeds(rule).ranking ? asked : rows;
    const pairs = earlier + paired * pairsPerPrompt(rule, { sampled, candidates: shown(recipe, candidates) });
    // Both texts of a comparison are examples where labels of single texts are learned.
    const examples = iteration > 0 && learnsFromLabels(recipe.objective.preference) ? 2 * pairs : pairs;
    const totalSteps = epochsAt(recipe.training.epochs, iteration) * stepsPerEpoch(examples, recipe.training);
    const schedule = scheduleOf(recipe, { iteration, totalSteps });
    const rates = shownSteps(schedule).map((step) => ({ step, learningRate: learningRateAt(step, schedule) }));
    plans.push({ iteration, slice, responses: rows * sampled, candidates, asked, pairs, schedule, rates });
  }
  return plans;
}

/** How many of the rows the ranker is asked about at least. */
function askedOf({ select, ranker }: Recipe, { rows, candidates }: { rows: number; candidates: number }): number {
  if (candidates === 0) return 0;
  if (select === null || select.budget === null) return rows;
  const votes = ranker.kind === 'people' ? ranker.votes : 1;
  const labels = votes * mostQuestions(select.answers === 'all' ? candidates : 2);
  return Math.min(rows, Math.floor(select.budget / labels));
}

/** Whether a prompt that the ranker is not asked about makes no pair. */
function leavesOut({ select, secondOpinion, rewardModel }: Recipe): boolean {
  return select !== null && select.otherwise === null && secondOpinion?.unasked !== 'ranked' && rewardModel === null;
}

/** Candidates that the ranker sees of a prompt. */
function shown({ select }: Recipe, candidates: number): number {
  return select === null || select.answers === 'all' ? candidates : Math.min(2, candidates);
}

function pairsPerPrompt(
  rule: Recipe['update'],
  { sampled, candidates }: { sampled: number; candidates: number },
): number {
  switch (rule) {
    case 'best-and-worst':
    case 'replace':
    case 'diverse':
    case 'best-over-random':
    case 'random':
    case 'keep':
      return 1;
    case 'all-pairs':
      return (candidates * (candidates - 1)) / 2;
    case 'data-over-response':
      return sampled;
  }
}

/** The first steps, the peak, the middle and the last step: where a wrong schedule shows. */
function shownSteps({ totalSteps, warmupSteps }: LearningRateOptions): number[] {
  const steps = [0, 1, warmupSteps, Math.floor(totalSteps / 2), totalSteps - 1];
  return [...new Set(steps.filter((step) => step >= 0 && step < totalSteps))].sort((a, b) => a - b);
}
