/**
 * @file Packs prompt trees into streams without padding: linear layers see one stream of real tokens, attention sees
 * trees. Micro-batches are filled by token budget, longest tree first, so that running out of memory shows at once.
 */
import { TrainingError } from '../errors.ts';
import { type PairTree, scoredTokens, type TokenTree, treeTokens } from './trees.ts';

/** Where the log-probabilities of one continuation lie among the scored tokens. */
export interface ScoredRange {
  tree: number;
  continuation: number;
  begin: number;
  end: number;
}

/** Trees on one stream of T tokens, of which S predict a scored token. */
export interface PackedTrees<Tree extends TokenTree = PairTree> {
  trees: readonly Tree[];
  ids_T: Int32Array;
  /** Positions restart after the prompt for every continuation. */
  positions_T: Int32Array;
  /** (start, length, parent) of every segment, see native/kernels/kernels.h. */
  segments: number[];
  /** Stream rows whose hidden state predicts a scored token, and that token. */
  rows_S: Int32Array;
  targets_S: Int32Array;
  /** In order of tree, then of continuation; they cover 0 .. S. */
  ranges: ScoredRange[];
}

/** Packs trees, in the order given, into one stream. */
export function packTrees<Tree extends TokenTree>(trees: readonly Tree[]): PackedTrees<Tree> {
  const ids: number[] = [];
  const positions: number[] = [];
  const segments: number[] = [];
  const rows: number[] = [];
  const targets: number[] = [];
  const ranges: ScoredRange[] = [];
  trees.forEach((tree, treeIndex) => {
    if (isUnscorable(tree)) {
      throw new TrainingError(
        'SEQUENCE_EMPTY',
        `Cannot train on pair ${tree.pairId}: its prompt or a response has no tokens: drop the pair`,
        { details: { pairId: tree.pairId } },
      );
    }
    const hasPrompt = tree.promptIds.length > 0;
    const promptSegment = hasPrompt ? segments.length / 3 : -1;
    const promptEnd = ids.length + tree.promptIds.length;
    if (hasPrompt) segments.push(ids.length, tree.promptIds.length, -1);
    tree.promptIds.forEach((id, i) => {
      ids.push(id);
      positions.push(i);
    });
    tree.continuations.forEach((continuation, index) => {
      const begin = targets.length;
      const start = ids.length;
      if (continuation.length > 1) segments.push(start, continuation.length - 1, promptSegment);
      const mask = tree.scored?.[index];
      continuation.forEach((id, i) => {
        if (mask?.[i] !== 0) {
          rows.push(i === 0 ? promptEnd - 1 : start + i - 1);
          targets.push(id);
        }
        if (i === continuation.length - 1) return;
        ids.push(id);
        positions.push(tree.promptIds.length + i);
      });
      ranges.push({ tree: treeIndex, continuation: index, begin, end: targets.length });
    });
  });
  return {
    trees,
    ids_T: Int32Array.from(ids),
    positions_T: Int32Array.from(positions),
    segments,
    rows_S: Int32Array.from(rows),
    targets_S: Int32Array.from(targets),
    ranges,
  };
}

/** Nothing to score, or a first token to score that nothing comes before. */
function isUnscorable(tree: TokenTree): boolean {
  return tree.continuations.some((_, index) => {
    const startsScored = tree.scored?.[index]?.[0] !== 0;
    return scoredTokens(tree, index) === 0 || (tree.promptIds.length === 0 && startsScored);
  });
}

/**
 * Splits the trees of one step into micro-batches of at most `maxTokens` tokens (a longer tree stands alone), longest
 * first. The same trees give the same micro-batches, whatever their order was.
 */
export function microBatches<Tree extends TokenTree>(trees: readonly Tree[], maxTokens: number): PackedTrees<Tree>[] {
  const sized = trees.map((tree) => ({ tree, tokens: treeTokens(tree) }));
  sized.sort(
    (a, b) => b.tokens - a.tokens || (a.tree.pairId < b.tree.pairId ? -1 : a.tree.pairId > b.tree.pairId ? 1 : 0),
  );
  const groups: Tree[][] = [];
  let room = 0;
  for (const { tree, tokens } of sized) {
    const group = groups.at(-1);
    if (group === undefined || tokens > room) {
      groups.push([tree]);
      room = maxTokens - tokens;
    } else {
      group.push(tree);
      room -= tokens;
    }
  }
  return groups.map((group) => packTrees(group));
}
