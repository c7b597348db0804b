/** @file How much the measurement of exploration may cost: a bounded share of the training that it follows. Pure. */
import { ruleNeeds } from '../../rank/pairing.ts';
import { learnsFromLabels } from '../../recipe/objective.ts';
import type { Recipe } from '../../recipe/schema.ts';

/** Whether iterations end with a measurement of their exploration. */
export function measuresExploration({
  update,
  objective,
  evaluate,
}: Pick<Recipe, 'update' | 'objective' | 'evaluate'>): boolean {
  // Its gradients are of pairs.
  return evaluate.explorationPrompts > 0 && ruleNeeds(update).samples && !learnsFromLabels(objective.preference);
}

/** The measurement costs at most about this share of its iteration's training. */
const SHARE_OF_TRAINING = 0.15;

/** Of that, the most that goes into gradients; log-ratios get the rest. */
const SHARE_OF_GRADIENTS = 0.5;

/** Most pairs that gradients are computed on. */
const MOST_GRADIENT_PAIRS = 8;

/** Forward passes that cost as much as one forward and backward. */
export const PASSES_OF_A_GRADIENT = 3;

/** Gradients of a pair: of the preference, and of the exploration term where there is one. That of their sum needs none. */
export function gradientsOfAPair({ explores }: { explores: boolean }): number {
  return explores ? 2 : 1;
}

/** Scorings of a pair: by the policy, and by the reference, whose numbers training with the term has left behind. */
export function scoringsOfAPair({ explores }: { explores: boolean }): number {
  return explores ? 1 : 2;
}

/** How many of the drawn pairs, counted from the first, are measured. */
export interface ExplorationPlan {
  /** Pairs with a log-ratio. */
  scored: number;
  /** Pairs of those whose gradients are computed too. */
  differentiated: number;
}

/**
 * Plans a measurement of pairs that were drawn in this order. One pair is measured, with its gradients, whatever it costs.
 *
 * @param tokens tokens of each drawn pair, in one pass of the model
 * @param trained tokens that went through the model in training; `explores`: whether training had an exploration term
 */
export function planExploration(
  tokens: readonly number[],
  { trained, explores }: { trained: number; explores: boolean },
): ExplorationPlan {
  const budget = SHARE_OF_TRAINING * trained * PASSES_OF_A_GRADIENT;
  const gradientCost = PASSES_OF_A_GRADIENT * gradientsOfAPair({ explores });
  const gradients = fitting(tokens.slice(0, MOST_GRADIENT_PAIRS), {
    cost: gradientCost,
    budget: SHARE_OF_GRADIENTS * budget,
  });
  const scorings = fitting(tokens, {
    cost: scoringsOfAPair({ explores }),
    budget: budget - gradientCost * total(tokens.slice(0, gradients)),
  });
  return { scored: Math.max(scorings, gradients), differentiated: gradients };
}

/** How many of these fit a budget, from the first on; one does always, where there is one. */
function fitting(tokens: readonly number[], { cost, budget }: { cost: number; budget: number }): number {
  let used = 0;
  const over = tokens.findIndex((count) => {
    used += cost * count;
    return used > budget;
  });
  return over < 0 ? tokens.length : Math.max(1, over);
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
