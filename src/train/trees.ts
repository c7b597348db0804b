/**
 * @file Prompt trees: one prompt and its distinct continuations. SELM's response y is usually the chosen or the rejected
 * one, and then it is not run a second time. A continuation attends to the prompt and to itself.
 */

/** Ids of a sequence. */
export type TokenIds = Int32Array;

/** Token ids of one preference pair, truncated and ready to score. Every continuation ends with its end token, if it has one. */
export interface PairTokens {
  pairId: string;
  promptIds: TokenIds;
  chosenIds: TokenIds;
  rejectedIds: TokenIds;
  /** The policy's own response, for the optimism term; null when the objective has none. */
  responseIds: TokenIds | null;
}

/** A pair as a tree: chosen, rejected and response are indices into `continuations`. */
export interface PairTree {
  pairId: string;
  promptIds: TokenIds;
  continuations: readonly TokenIds[];
  chosen: number;
  rejected: number;
  response: number | null;
}

/** Builds the tree of a pair; equal continuations become one. */
export function buildTree(pair: PairTokens): PairTree {
  const continuations: TokenIds[] = [];
  const add = (ids: TokenIds): number => {
    const known = continuations.findIndex((each) => each.length === ids.length && each.every((id, i) => id === ids[i]));
    return known >= 0 ? known : continuations.push(ids) - 1;
  };
  return {
    pairId: pair.pairId,
    promptIds: pair.promptIds,
    chosen: add(pair.chosenIds),
    rejected: add(pair.rejectedIds),
    response: pair.responseIds === null ? null : add(pair.responseIds),
    continuations,
  };
}

/** Tokens that a tree puts on the stream. The last token of a continuation is only predicted, never read, so it costs nothing. */
export function treeTokens(tree: Pick<PairTree, 'promptIds' | 'continuations'>): number {
  return tree.continuations.reduce((sum, ids) => sum + ids.length - 1, tree.promptIds.length);
}
