/**
 * @file Algorithm 1 of the paper, one iteration: sample from the policy, rank the response against the chosen and the
 * rejected one, keep best and worst, train with DPO plus the optimism term; the result is the next policy. Every stage
 * resumes by itself: run the same command again, and it goes on where it stopped, to the same bytes.
 */
import type { PreferenceRow } from '../data/rows.ts';
import type { ObjectiveOptions } from '../objective/objective.ts';
import { ruleNeeds } from '../rank/pairing.ts';
import { alphaAt } from '../recipe/iterations.ts';
import { askRankers } from './stages/ask-rankers.ts';
import { pairByRewardModel } from './stages/explicit-reward.ts';
import { measureExploration } from './stages/explore.ts';
import { measuresExploration } from './stages/explore-plan.ts';
import { pairResponses } from './stages/pair.ts';
import { sampleResponses } from './stages/sample.ts';
import { type IterationContext, runStage } from './stages/stage.ts';
import { trainNextPolicy } from './stages/train.ts';

/** What an iteration starts from. Directories of models in Hugging Face layout. */
export interface IterationInput {
  /** Slice t of the data. */
  rows: readonly PreferenceRow[];
  /** Rows of earlier slices, where their pairs are trained on again (accumulate). */
  earlierRows?: readonly PreferenceRow[];
  /** pi_{t-1}: samples the responses, and is where training starts. */
  policyDirectory: string;
  /** pi_ref: the previous policy, or always the initial one. */
  referenceDirectory: string;
  /** The iteration is finished, but its model is gone and is made again (lost-models.ts). */
  again?: boolean;
}

/** Runs iteration t; afterwards pi_t lies in the run's iteration-t/model. */
export async function runIteration(context: IterationContext, input: IterationInput): Promise<void> {
  const { rows } = input;

  const needs = ruleNeeds(context.recipe.update);

  // y ~ pi_{t-1}( . | x) for every prompt x of the slice
  if (needs.samples) await runStage(context, 'sample', () => sampleResponses(context, input));

  const { rewardModel } = context.recipe;
  if (rewardModel === null) {
    // R ranks {y, y_w, y_l}: all of them, or what is selected under a budget of labels
    if (needs.ranking) await askRankers(context, input);

    // y_c the best, y_r the worst of them
    await runStage(context, 'pair', () => pairResponses(context, rows));
  } else {
    // The same by an explicit reward model, learned with optimism from what R says of some prompts (Eq. 3.1)
    await pairByRewardModel(context, { ...input, settings: rewardModel });
  }

  // pi_t = argmin of -log sigma(beta Delta) + alpha beta (log pi(y) - log pi_ref(y)), from pi_{t-1}
  const objective = objectiveOf(context);
  await trainNextPolicy(context, { ...input, objective });

  // what the optimism did: log pi_t(y) - log pi_ref(y), and its gradient beside DPO's
  if (measuresExploration(context.recipe)) {
    const modelDirectory = context.run.modelPath(context.iteration);
    await runStage(context, 'explore', () => measureExploration(context, { ...input, objective, modelDirectory }));
  }
}

/** The warm start: plain DPO on the pairs of the data, nothing sampled (the authors' Zephyr recipe). */
export async function runWarmStart(context: IterationContext, input: IterationInput): Promise<void> {
  await runStage(context, 'pair', () => pairResponses(context, input.rows));
  const { preference, chosenLikelihood } = context.recipe.objective;
  const objective: ObjectiveOptions = { preference, exploration: { kind: 'none' }, chosenLikelihood };
  await trainNextPolicy(context, { ...input, objective });
}

/** The objective with this iteration's alpha. With alpha = 0 there is no term, and y costs nothing. */
function objectiveOf({ recipe, iteration }: IterationContext): ObjectiveOptions {
  const { preference, exploration, chosenLikelihood } = recipe.objective;
  if (exploration.kind === 'none') return { preference, exploration, chosenLikelihood };
  const alpha = alphaAt(exploration.alpha, iteration);
  const term = alpha === 0 ? ({ kind: 'none' } as const) : { kind: exploration.kind, alpha };
  return { preference, exploration: term, chosenLikelihood };
}
