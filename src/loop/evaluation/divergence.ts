/** @file How far a policy went from another model, estimated from its own held-out answers. */
import { type Interval, klEstimate } from '../../evaluate/statistics.ts';
import { withModel } from '../../model/load.ts';
import { scoreSteps } from '../../score/log-probs.ts';
import { openPolicy } from '../../score/policy.ts';
import { buildTree } from '../../score/trees.ts';
import type { IterationContext } from '../stages/stage.ts';
import { type Answer, answerKey } from './answers.ts';

/**
 * KL(policy || other) in nats a response, from the policy's own samples: the mean of log pi(y) - log other(y). Only
 * samples at temperature 1 over the whole vocabulary are draws of the policy; for others there is no estimate. y is all
 * that was sampled, up to and with a stop text: leaving out the tokens that decide where it ends would bias the mean.
 */
export async function klTo(
  { recipe, signal }: IterationContext,
  answers: readonly Answer[],
  directory: string,
): Promise<Interval | null> {
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
  using other = withModel(directory, (model) => openPolicy(model, { dtype: 'float32', purpose: 'score' }), {
    device: recipe.device,
  });
  const { microBatchTokens } = recipe.training;
  const logProbs = new Map<string, number>();
  for await (const batch of scoreSteps(other, [trees], { microBatchTokens, known: new Map() })) {
    for (const [id, [logProb]] of batch) logProbs.set(id, logProb ?? Number.NaN);
    signal?.throwIfAborted();
  }
  const byPrompt = new Map<string, { policy: number; base: number }[]>();
  for (const each of answers) {
    const rows = byPrompt.get(each.promptId) ?? [];
    rows.push({ policy: each.logProb, base: logProbs.get(answerKey(each)) ?? Number.NaN });
    byPrompt.set(each.promptId, rows);
  }
  return klEstimate(byPrompt, recipe.seed);
}
