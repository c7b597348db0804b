/**
 * @file Learning rates and exploration coefficients: which number at which step of which iteration. Pure functions of
 * counts; a resumed run asks again and gets the same answer.
 */
import { RecipeError } from '../errors.ts';
import type { Recipe } from '../recipe/schema.ts';

/** Shape within an iteration, after the warm-up. */
export type LearningRateSchedule = 'cosine' | 'linear' | 'constant';

/** Peak across iterations: a rule, or the peak of each iteration. */
export type LearningRateCycle = 'constant' | 'linear' | 'decayed-last' | readonly number[];

export interface LearningRateOptions {
  /** Optimiser steps of this iteration. */
  readonly totalSteps: number;
  readonly warmupSteps: number;
  /** Peak, reached at step `warmupSteps`. */
  readonly learningRate: number;
  readonly kind: LearningRateSchedule;
}

/** The lowest peak as a part of the first: the authors go from 5e-7 to 1e-7 with either rule (paper, appendix C). */
const LAST_PEAK = 0.2;

/**
 * Learning rate of a step, counted from 0, as Hugging Face's schedulers have it (get_cosine_schedule_with_warmup and
 * its linear and constant siblings), which the authors' runs used: it rises from 0 at step 0 to the peak at
 * `warmupSteps` = w, then
 *
 * - cosine: peak (1 + cos(pi (t - w) / (T - w))) / 2
 * - linear: peak (T - t) / (T - w)
 * - constant: peak
 *
 * With a warm-up, step 0 has rate 0 and changes no weight. Theirs gives a single step that rate too, and nothing is
 * trained; here a single step has the peak, and `singleStepWarning` says so.
 *
 * @throws RecipeError SCHEDULE_STEP_INVALID
 */
export function learningRateAt(step: number, options: LearningRateOptions): number {
  const { totalSteps, warmupSteps, learningRate, kind } = options;
  if (!(Number.isInteger(step) && step >= 0 && step <= totalSteps)) {
    throw new RecipeError(
      'SCHEDULE_STEP_INVALID',
      `Cannot find the learning rate of step ${step}: steps go from 0 to ${totalSteps}`,
      { details: { step, totalSteps } },
    );
  }
  if (isSingleStep(options)) return learningRate;
  if (step < warmupSteps) return (learningRate * step) / warmupSteps;
  const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
  switch (kind) {
    case 'cosine':
      return learningRate * 0.5 * (1 + Math.cos(Math.PI * progress));
    case 'linear':
      return learningRate * (1 - progress);
    case 'constant':
      return learningRate;
    default:
      return kind satisfies never;
  }
}

/** Whether a schedule has one step, and that one in its warm-up. */
function isSingleStep({ totalSteps, warmupSteps }: LearningRateOptions): boolean {
  return totalSteps === 1 && warmupSteps > 0;
}

/** What a person should know of a schedule whose only step a warm-up would have given the rate 0; null of any other. */
export function singleStepWarning(schedule: LearningRateOptions, what: string): string | null {
  if (!isSingleStep(schedule)) return null;
  return `${what} has a single step, which the warm-up (training.warmupRatio) would give a learning rate of 0: it takes the peak, ${schedule.learningRate}; lower training.batchSize for more steps, or set training.warmupRatio to 0 where one step is meant`;
}

/**
 * Warm-up steps: ceil(ratio x total), the rule and the rounding of transformers' TrainingArguments (the product is
 * rounded to float64 first, there as here).
 */
export function warmupSteps(totalSteps: number, ratio: number): number {
  return Math.ceil(totalSteps * ratio);
}

/**
 * Peak learning rate of an iteration, counted from 1; 0 is the warm start by plain DPO, which takes `learningRate`.
 * The rules are the three of the paper's appendix C:
 *
 * - constant: `learningRate` every time
 * - linear: falls evenly from `learningRate` to a fifth of it at the last iteration (Llama-3: 5e-7, 3e-7, 1e-7)
 * - decayed-last: `learningRate`, and a fifth of it at the last iteration (Zephyr: 5e-7, then 1e-7)
 * - a list: the peak of each iteration, one a position
 *
 * A run of a single iteration takes `learningRate` under every rule.
 *
 * @throws RecipeError LEARNING_RATE_CYCLE_LENGTH, ITERATION_INVALID
 */
export function iterationLearningRate(
  cycle: LearningRateCycle,
  iteration: number,
  iterations: number,
  learningRate: number,
): number {
  if (!(Number.isInteger(iteration) && iteration >= 0 && iteration <= iterations)) {
    throw invalidIteration(iteration, `this run has iterations 1 to ${iterations}, and 0 for the warm start`);
  }
  if (typeof cycle !== 'string') {
    if (cycle.length !== iterations) {
      throw new RecipeError(
        'LEARNING_RATE_CYCLE_LENGTH',
        `Cannot take the learning rate of each iteration from a list of ${cycle.length}: the run has ${iterations} iterations: give one rate for each`,
        { details: { cycle: [...cycle], iterations } },
      );
    }
    return iteration === 0 ? learningRate : (cycle[iteration - 1] ?? learningRate);
  }
  if (iteration === 0 || iterations === 1) return learningRate;
  switch (cycle) {
    case 'constant':
      return learningRate;
    case 'linear':
      return learningRate * (1 - ((1 - LAST_PEAK) * (iteration - 1)) / (iterations - 1));
    case 'decayed-last':
      return iteration === iterations ? learningRate * LAST_PEAK : learningRate;
    default:
      return cycle satisfies never;
  }
}

/** The schedule of an iteration of a recipe, from its settings and its number of steps. */
export function scheduleOf(
  { training, iterations }: Pick<Recipe, 'training' | 'iterations'>,
  { iteration, totalSteps }: { iteration: number; totalSteps: number },
): LearningRateOptions {
  return {
    totalSteps,
    warmupSteps: warmupSteps(totalSteps, training.warmupRatio),
    learningRate: iterationLearningRate(training.cycle, iteration, iterations, training.learningRate),
    kind: training.schedule,
  };
}

function invalidIteration(iteration: number, allowed: string): RecipeError {
  return new RecipeError('ITERATION_INVALID', `Cannot use iteration ${iteration}: ${allowed}`, {
    details: { iteration },
  });
}
