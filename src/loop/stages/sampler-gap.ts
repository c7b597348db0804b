/**
 * @file How far the trainer's log-probabilities lie from the sampler's, on the very tokens that were sampled: a metric of
 * every step. Both are of the same weights, by other arithmetic (batches, kernels, sampling.dtype); a gap that grows means
 * that what is trained is no longer what sampled.
 */
import type { PairTree, TreeLogProbs } from '../../score/trees.ts';
import type { ResponseRecord } from '../../store/ledger-rows.ts';
import type { StepMetrics, TakenStep } from '../../train/run-steps.ts';

/** What the gap is measured on. */
export interface GapInput {
  steps: readonly (readonly PairTree[])[];
  /** Log-probabilities under the reference, which is the sampler where the weights are the same. */
  reference: ReadonlyMap<string, TreeLogProbs>;
  /** Of the reference's weights. */
  referenceSha256: string;
  /** What was sampled to the prompt of a pair. */
  responsesOf(pairId: string): readonly ResponseRecord[];
}

/**
 * For each step the mean over its sampled tokens of |log pi(response), trainer - sampler| / tokens, in nats a token, with the
 * largest of one response; nothing where the reference did not sample, or where no response was kept whole.
 */
export function samplerGaps({ steps, reference, referenceSha256, responsesOf }: GapInput): StepMetrics[] {
  return steps.map((trees) => {
    let difference = 0;
    let tokens = 0;
    let largest = 0;
    for (const tree of trees) {
      const sampled = responsesOf(tree.pairId).filter((response) => response.samplerSha256 === referenceSha256);
      tree.continuations.forEach((ids, index) => {
        const mask = tree.scored?.[index];
        const scored = mask === undefined ? ids : ids.filter((_, i) => mask[i] === 1);
        const response = sampled.find(({ tokenIds }) => sameIds(tokenIds, scored));
        const logProb = reference.get(tree.pairId)?.[index];
        if (response === undefined || logProb === undefined || scored.length === 0) return;
        const gap = Math.abs(logProb - response.logProb);
        difference += gap;
        tokens += scored.length;
        largest = Math.max(largest, gap / scored.length);
      });
    }
    return tokens === 0 ? {} : { 'sampler/logp_gap': difference / tokens, 'sampler/logp_gap_max': largest };
  });
}

/** Steps with the numbers of each put beside their metrics. */
export async function* withMetrics(
  steps: AsyncGenerator<TakenStep>,
  more: readonly StepMetrics[],
): AsyncGenerator<TakenStep> {
  for await (const taken of steps) yield { ...taken, metrics: { ...taken.metrics, ...more[taken.step] } };
}

function sameIds(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}
