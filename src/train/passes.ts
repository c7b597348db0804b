/**
 * @file The passes of a step over its micro-batches: each rank's own, or, where blocks are gathered, as many at every rank.
 */
import { gatheredForwardBackward, gatheredScores } from '../score/gathered.ts';
import { scoreTrees } from '../score/log-probs.ts';
import type { PackedTrees } from '../score/packing.ts';
import type { Policy } from '../score/policy.ts';
import { type Activations, forwardBackward, type ScoredRows } from '../score/stream.ts';
import type { TokenTree, TreeLogProbs } from '../score/trees.ts';
import type { Tensor } from '../torch/tensor.ts';
import type { Pausing } from './pausing.ts';
import type { SharedStep } from './share.ts';

/** Micro-batches of this rank, and the step that they are of where ranks share it. */
interface Passes<Tree extends TokenTree> {
  batches: readonly PackedTrees<Tree>[];
  shared?: SharedStep | undefined;
}

/** Passes that this rank makes, each with its batch; a rank that has fewer batches than others ends with passes without. */
export function* passesOf<Tree extends TokenTree>({
  batches,
  shared,
}: Passes<Tree>): Generator<[PackedTrees<Tree> | null, string]> {
  for (let index = 0; index < Math.max(batches.length, shared?.passes ?? 0); index++)
    yield [batches[index] ?? null, `pass ${index + 1} of ${shared?.name ?? 'a step'}`];
}

/** Forward and backward over every micro-batch; `head` gives the gradient by the scored rows' hidden states [S, D]. */
export function* backwardPasses<Tree extends TokenTree>(
  policy: Policy,
  { activations, ...passes }: Passes<Tree> & { activations: Activations },
  head: (batch: PackedTrees<Tree>, rows: ScoredRows) => Tensor,
): Pausing<void> {
  if (policy.shards?.gathered == null) {
    for (const [index, batch] of passes.batches.entries()) {
      if (index > 0) yield;
      forwardBackward(policy, batch, {
        activations,
        head: (rows) => ({ gradient_SD: head(batch, rows), result: undefined }),
      });
    }
    return;
  }
  for (const [batch, name] of passesOf(passes)) {
    const own = (rows: ScoredRows): Tensor => (batch === null ? rows.hidden_SD : head(batch, rows));
    yield* gatheredForwardBackward(policy, batch, { name, head: own });
  }
}

/** The policy's log-probabilities of this rank's trees, micro-batch by micro-batch. */
export function* scoringPasses(policy: Policy, passes: Passes<TokenTree>): Pausing<Map<string, TreeLogProbs>> {
  const found = new Map<string, TreeLogProbs>();
  for (const [batch, name] of policy.shards?.gathered == null
    ? passesOf({ batches: passes.batches })
    : passesOf(passes)) {
    const scores =
      policy.shards?.gathered == null && batch !== null
        ? scoreTrees(policy, batch)
        : yield* gatheredScores(policy, batch, name);
    for (const [pairId, logProbs] of scores) found.set(pairId, logProbs);
    yield;
  }
  return found;
}
