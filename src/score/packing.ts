/**
 * @file Packs prompt trees into streams without padding: linear layers see one stream of real tokens, attention sees
 * trees. Micro-batches are filled by token budget, longest tree first, so that running out of memory shows at once.
 */
import { TrainingError } from '../errors.ts';
import type { PackedTokens } from '../model/packed.ts';
import { type PairTree, scoredTokens, type TokenIds, type TokenTree, treeTokens } from './trees.ts';

/** Where the log-probabilities of one continuation lie among the scored tokens. */
export interface ScoredRange {
  tree: number;
  continuation: number;
  begin: number;
  end: number;
}

/** Trees on one stream of T tokens, of which S predict a scored token. */
export interface PackedTrees<Tree extends TokenTree = PairTree> extends PackedTokens {
  trees: readonly Tree[];
  /** Stream rows whose hidden state predicts a scored token, and that token. */
  rows_S: Int32Array;
  targets_S: Int32Array;
  /** In order of tree, then of continuation; they cover 0 .. S. */
  ranges: ScoredRange[];
}

/**
 * Packs trees, in the order given, into one stream. `longAfter` is the length beyond which a sequence's positions are
 * turned otherwise (model/rope.ts): a prompt with continuations on both sides of it then stands twice on the stream.
 */
export function packTrees<Tree extends TokenTree>(
  trees: readonly Tree[],
  longAfter = Number.POSITIVE_INFINITY,
): PackedTrees<Tree> {
  const ids: number[] = [];
  const positions: number[] = [];
  const long: number[] = [];
  const segments: number[] = [];
  const rows: number[] = [];
  const targets: number[] = [];
  const ranges: ScoredRange[] = [];
  /** Puts a segment on the stream, and returns where it starts. */
  const read = (tokens: TokenIds, from: { position: number; isLong: boolean; parent: number }): number => {
    const start = ids.length;
    if (tokens.length > 0) segments.push(start, tokens.length, from.parent);
    tokens.forEach((id, i) => {
      ids.push(id);
      positions.push(from.position + i);
      long.push(from.isLong ? 1 : 0);
    });
    return start;
  };
  trees.forEach((tree, treeIndex) => {
    if (isUnscorable(tree)) {
      throw new TrainingError(
        'SEQUENCE_EMPTY',
        `Cannot train on pair ${tree.pairId}: its prompt or a response has no tokens: drop the pair`,
        { details: { pairId: tree.pairId } },
      );
    }
    const promptLength = tree.promptIds.length;
    // Where each continuation's first token is predicted, and where the continuation itself starts.
    const places: { first: number; start: number }[] = [];
    for (const isLong of [false, true]) {
      const members = tree.continuations.flatMap((each, i) =>
        promptLength + each.length > longAfter === isLong ? [i] : [],
      );
      if (members.length === 0) continue;
      const parent = promptLength > 0 ? segments.length / 3 : -1;
      const first = read(tree.promptIds, { position: 0, isLong, parent: -1 }) + promptLength - 1;
      for (const index of members) {
        // The last token is predicted and never read.
        const tokens = tree.continuations[index]?.subarray(0, -1) ?? new Int32Array();
        places[index] = { first, start: read(tokens, { position: promptLength, isLong, parent }) };
      }
    }
    tree.continuations.forEach((continuation, index) => {
      const { first, start } = places[index] ?? { first: Number.NaN, start: Number.NaN };
      const begin = targets.length;
      const mask = tree.scored?.[index];
      continuation.forEach((id, i) => {
        if (mask?.[i] === 0) return;
        rows.push(i === 0 ? first : start + i - 1);
        targets.push(id);
      });
      ranges.push({ tree: treeIndex, continuation: index, begin, end: targets.length });
    });
  });
  return {
    trees,
    ids_T: Int32Array.from(ids),
    positions_T: Int32Array.from(positions),
    long_T: Uint8Array.from(long),
    longAfter,
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
export function microBatches<Tree extends TokenTree>(
  trees: readonly Tree[],
  maxTokens: number,
  longAfter = Number.POSITIVE_INFINITY,
): PackedTrees<Tree>[] {
  const sized = trees.map((tree) => ({ tree, tokens: treeTokens(tree, longAfter) }));
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
  return groups.map((group) => packTrees(group, longAfter));
}
