/** @file How far a policy went from the base and from the policy before, estimated from its own held-out answers. */
import { type Interval, klEstimate } from '../../evaluate/statistics.ts';
import { buildTree } from '../../score/trees.ts';
import { scoreTogether } from '../stages/scoring.ts';
import type { IterationContext } from '../stages/stage.ts';
import { type Answer, answerKey } from './answers.ts';

type DivergenceContext = Pick<IterationContext, 'recipe' | 'team' | 'signal'>;

/** A model's distance from the base, and from the policy of the iteration before; null where there is no estimate. */
export interface Divergences {
  klToBase: Interval | null;
  klToPrevious: Interval | null;
}

/** Both distances; null stands for a model that is not asked about. A model that is both is scored once. */
export async function divergences(
  context: DivergenceContext,
  answers: readonly Answer[],
  { base, previous }: { base: string | null; previous: string | null },
): Promise<Divergences> {
  const klToBase = base === null ? null : await klTo(context, answers, base);
  if (previous === null) return { klToBase, klToPrevious: null };
  return { klToBase, klToPrevious: previous === base ? klToBase : await klTo(context, answers, previous) };
}

/**
 * KL(policy || other) in nats a response, from the policy's own samples: the mean of log pi(y) - log other(y). Only
 * samples at temperature 1 over the whole vocabulary are draws of the policy; for others there is no estimate. y is all
 * that was sampled, up to and with a stop text: leaving out the tokens that decide where it ends would bias the mean. The
 * other model computes in the type that the policy was sampled in, so that what is compared is weights.
 */
async function klTo(
  context: DivergenceContext,
  answers: readonly Answer[],
  directory: string,
): Promise<Interval | null> {
  const { recipe, signal } = context;
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
  const logProbs = new Map<string, number>();
  const { dtype } = recipe.sampling;
  for await (const batch of scoreTogether(context, [trees], { modelDirectory: directory, dtype })) {
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
