/**
 * @file Log-probabilities of trees under pi_ref. The ledger's are used, and the others are computed and put there.
 * Their key holds everything that decides them, so training and the measurement after it share them.
 */
import { sha256 } from '../../files/hash.ts';
import type { TokenTree, TreeLogProbs } from '../../score/trees.ts';
import type { ScoringContext } from './scoring.ts';
import { scoreTogether } from './scoring.ts';
import type { IterationContext } from './stage.ts';

export interface ReferenceRequest {
  referenceDirectory: string;
  /** Of the reference's weights. */
  referenceSha256: string;
  /** Trees in the steps of their training: batches of the same trees give the same bits. */
  steps: readonly (readonly TokenTree[])[];
}

/** Hears how far the work is: pairs that are known, of all. Not called where all are known at once. */
export interface ReferenceProgress {
  started(done: number, total: number): void;
  advanced(done: number, total: number): void;
}

/** The log-probabilities of every pair, by its id. The aborted signal's reason is thrown between micro-batches. */
export async function loadOrScoreReference(
  context: ScoringContext & Pick<IterationContext, 'ledger'>,
  { referenceDirectory, referenceSha256, steps }: ReferenceRequest,
  progress: ReferenceProgress,
): Promise<Map<string, TreeLogProbs>> {
  const { recipe, ledger, signal } = context;
  const { dtype, adapter } = recipe.training;
  const treeOf = new Map(steps.flat().map((tree) => [tree.pairId, tree]));
  const keyOf = (tree: TokenTree, index: number): string => `${referenceSha256}/${dtype}/${treeKey(tree)}/${index}`;
  const known = new Map<string, TreeLogProbs>();
  for (const [pairId, tree] of treeOf) {
    const stored = tree.continuations.map((_, index) => ledger.getReferenceLogProb(keyOf(tree, index)));
    if (stored.every((logProb) => logProb !== null)) known.set(pairId, stored);
  }
  if (known.size === treeOf.size) return known;
  progress.started(known.size, treeOf.size);
  // Read as the policy's own frozen weights are, so that the first loss is known to the bit.
  const frozen = adapter.kind === 'lora' ? 'in-place' : 'copied';
  const setting = { modelDirectory: referenceDirectory, dtype, frozen, known: new Map(known) } as const;
  for await (const scores of scoreTogether(context, steps, setting)) {
    const entries = [...scores].flatMap(([pairId, logProbs]) => {
      const tree = treeOf.get(pairId);
      return tree === undefined ? [] : logProbs.map((logProb, index) => ({ key: keyOf(tree, index), logProb }));
    });
    ledger.putReferenceLogProbs(entries);
    for (const [pairId, logProbs] of scores) known.set(pairId, logProbs);
    progress.advanced(known.size, treeOf.size);
    signal?.throwIfAborted();
  }
  return known;
}

/** Of all that decides a tree's log-probabilities, the weights aside. */
export function treeKey(tree: TokenTree): string {
  return sha256([tree.promptIds, ...tree.continuations, ...(tree.scored ?? [])].map((ids) => ids.join(' ')).join('\n'));
}
