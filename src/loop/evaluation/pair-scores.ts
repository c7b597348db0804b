/** @file Log-probabilities of given pairs under a saved model, the pairs rendered as a recipe says. */
import type { PreferenceRow } from '../../data/rows.ts';
import { baseDirectory } from '../../model/adapter/adapter.ts';
import { withModel } from '../../model/load.ts';
import type { Recipe } from '../../recipe/schema.ts';
import { scoreSteps } from '../../score/log-probs.ts';
import { openPolicy } from '../../score/policy.ts';
import { buildTreeOfSequences, type PairTree } from '../../score/trees.ts';
import { renderPair } from '../../text/rendering.ts';
import { loadTokenizer } from '../../text/tokenizer/tokenizer.ts';

/** Summed log-probabilities in nats, in the order of the pairs. */
export interface PairLogProbs {
  chosen: number[];
  rejected: number[];
}

/** Trees of preference rows, as the recipe renders them; the id of each is its place. */
export function treesOf(recipe: Recipe, rows: readonly PreferenceRow[]): PairTree[] {
  const tokenizer = loadTokenizer(baseDirectory(recipe.model));
  return rows.map(({ prompt, chosen, rejected, chosenMessage, rejectedMessage }, index) => {
    const sequences = renderPair(
      tokenizer,
      {
        prompt,
        chosen: { text: chosen ?? '', message: chosenMessage },
        rejected: { text: rejected ?? '', message: rejectedMessage },
        response: null,
      },
      recipe.text,
    );
    return buildTreeOfSequences(String(index), {
      chosen: sequences.chosen,
      rejected: sequences.rejected,
      response: null,
    });
  });
}

/** Summed log-probabilities of both responses of every tree under a model. */
export async function scorePairs(
  { device, training: { microBatchTokens } }: Recipe,
  { directory, trees, signal }: { directory: string; trees: readonly PairTree[]; signal: AbortSignal | undefined },
): Promise<PairLogProbs> {
  using policy = withModel(directory, (model) => openPolicy(model, { dtype: 'float32', purpose: 'score' }), { device });
  const found = new Map<string, readonly number[]>();
  for await (const batch of scoreSteps(policy, [trees], { microBatchTokens, known: new Map() })) {
    for (const [id, logProbs] of batch) found.set(id, logProbs);
    signal?.throwIfAborted();
  }
  const of = (which: 'chosen' | 'rejected'): number[] =>
    trees.map((tree) => found.get(tree.pairId)?.[tree[which]] ?? Number.NaN);
  return { chosen: of('chosen'), rejected: of('rejected') };
}
