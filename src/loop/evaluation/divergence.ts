/** @file How far a policy went from another model, estimated from its own held-out answers. */
import { type Interval, klEstimate } from '../../evaluate/statistics.ts';
import { withModel } from '../../model/load.ts';
import { longAfter } from '../../model/rope.ts';
import { scoreTrees } from '../../score/log-probs.ts';
import { microBatches } from '../../score/packing.ts';
import { openPolicy } from '../../score/policy.ts';
import { buildTree } from '../../score/trees.ts';
import type { IterationContext } from '../stages/stage.ts';
import { type Answer, answerKey } from './answers.ts';

/**
 * KL(policy || other) in nats a response, from the policy's own samples: the mean of log pi(y) - log other(y). Only
 * samples at temperature 1 over the whole vocabulary are draws of the policy; for others there is no estimate. y is all
 * that was sampled, up to and with a stop text: leaving out the tokens that decide where it ends would bias the mean.
 */
export function klTo(context: IterationContext, answers: readonly Answer[], directory: string): Interval | null {
  const { recipe } = context;
  if (recipe.evaluate.temperature !== 1 || recipe.sampling.topP < 1 || recipe.sampling.topK > 0) return null;
  const trees = answers.map((each) => {
    return buildTree({
      pairId: answerKey(each),
      promptIds: each.promptIds,
      chosenIds: each.tokenIds,
      rejectedIds: each.tokenIds,
      responseIds: null,
    });
  });
  const other = withModel(directory, (model) => openPolicy(model, { dtype: 'float32', purpose: 'score' }), {
    device: recipe.device,
  });
  try {
    const logProbs = new Map<string, number>();
    for (const batch of microBatches(trees, recipe.training.microBatchTokens, longAfter(other.config))) {
      for (const [id, [logProb]] of scoreTrees(other, batch)) logProbs.set(id, logProb ?? Number.NaN);
    }
    const byPrompt = new Map<string, { policy: number; base: number }[]>();
    for (const each of answers) {
      const rows = byPrompt.get(each.promptId) ?? [];
      rows.push({ policy: each.logProb, base: logProbs.get(answerKey(each)) ?? Number.NaN });
      byPrompt.set(each.promptId, rows);
    }
    return klEstimate(byPrompt, recipe.seed);
  } finally {
    other.dispose();
  }
}
