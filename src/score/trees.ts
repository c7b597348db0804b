/**
 * @file Prompt trees: one prompt and its distinct continuations. SELM's response y is usually the chosen or the rejected
 * one, and then it is not run a second time. A continuation attends to the prompt and to itself; tokens of it that are no
 * part of the response (the prompt's last one under the authors' rendering, a user's later turn) are read and not scored.
 */

import type { WinProbabilities } from '../objective/preference.ts';
import type { PairLabel } from '../objective/soft-label.ts';

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
  /** What the ranker makes of chosen and rejected, where the objective asks; absent: the chosen certainly wins. */
  winProbabilities?: WinProbabilities | null;
}

/** One prompt and its continuations, as they go through the model. */
export interface TokenTree {
  pairId: string;
  /**
   * Read before the prompt. Trees that follow each other on a stream with the very same array share it (prefixes.ts).
   * @default nothing
   */
  prefixIds?: TokenIds;
  /** Read by every continuation. May be empty when no continuation scores its first token. */
  promptIds: TokenIds;
  continuations: readonly TokenIds[];
  /** For each continuation 1 where a token is scored and 0 where it is only read; absent: all are scored. */
  scored?: readonly Uint8Array[];
}

/** A pair as a tree: chosen, rejected and response are indices into `continuations`. */
export interface PairTree extends TokenTree {
  chosen: number;
  rejected: number;
  response: number | null;
  winProbabilities: WinProbabilities | null;
  /** Absent: the chosen is certainly better. */
  label?: PairLabel;
  /** Which of several sources of data it is of, for metrics by source. */
  dataset?: string;
}

/** Summed log-probabilities of a tree's continuations, in their order. */
export type TreeLogProbs = readonly number[];

/** Builds the tree of a pair; equal continuations become one. */
export function buildTree(pair: PairTokens): PairTree {
  const { pairId, promptIds, chosenIds, rejectedIds, responseIds } = pair;
  const sequenceOf = (ids: TokenIds): Sequence => ({ promptIds, responseIds: ids });
  return buildTreeOfSequences(pairId, {
    chosen: sequenceOf(chosenIds),
    rejected: sequenceOf(rejectedIds),
    response: responseIds === null ? null : sequenceOf(responseIds),
    winProbabilities: pair.winProbabilities ?? null,
  });
}

/** A response with the prompt that it reads. */
export interface Sequence {
  promptIds: ArrayLike<number>;
  responseIds: ArrayLike<number>;
}

/** As buildTree, for prompts that need not be equal: what they do not share is read by its own response, unscored. */
export function buildTreeOfSequences(
  pairId: string,
  {
    chosen,
    rejected,
    response,
    winProbabilities = null,
    label = null,
  }: {
    chosen: Sequence;
    rejected: Sequence;
    response: Sequence | null;
    winProbabilities?: WinProbabilities | null;
    label?: PairLabel | null;
  },
): PairTree {
  const prompts = [chosen, rejected, ...(response === null ? [] : [response])].map(({ promptIds }) => promptIds);
  const shared = prompts.reduce((length, prompt) => Math.min(length, commonLength(prompt, chosen.promptIds)), Infinity);
  const continuations: { ids: TokenIds; unscored: number }[] = [];
  const add = ({ promptIds, responseIds }: Sequence): number => {
    const ids = Int32Array.from([...Array.from(promptIds).slice(shared), ...Array.from(responseIds)]);
    const unscored = promptIds.length - shared;
    const known = continuations.findIndex((each) => each.unscored === unscored && sameIds(each.ids, ids));
    return known >= 0 ? known : continuations.push({ ids, unscored }) - 1;
  };
  const places = {
    chosen: add(chosen),
    rejected: add(rejected),
    response: response === null ? null : add(response),
  };
  const isWhole = continuations.every(({ unscored }) => unscored === 0);
  const maskOf = ({ ids, unscored }: { ids: TokenIds; unscored: number }): Uint8Array =>
    new Uint8Array(ids.length).fill(1, unscored);
  return {
    pairId,
    promptIds: Int32Array.from(Array.from(chosen.promptIds).slice(0, shared)),
    ...places,
    continuations: continuations.map(({ ids }) => ids),
    ...(isWhole ? {} : { scored: continuations.map(maskOf) }),
    winProbabilities,
    ...(label === null ? {} : { label }),
  };
}

function commonLength(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

function sameIds(a: TokenIds, b: TokenIds): boolean {
  return a.length === b.length && commonLength(a, b) === a.length;
}

/**
 * Tokens that a tree puts on the stream. The last token of a continuation is only predicted, never read, so it costs
 * nothing; a prompt with continuations on both sides of `longAfter` (packing.ts) is read twice.
 */
export function treeTokens(
  tree: Pick<TokenTree, 'promptIds' | 'continuations'>,
  longAfter = Number.POSITIVE_INFINITY,
): number {
  const prompt = tree.promptIds.length;
  const long = tree.continuations.filter((ids) => prompt + ids.length > longAfter).length;
  const prompts = long > 0 && long < tree.continuations.length ? 2 : 1;
  return tree.continuations.reduce((sum, ids) => sum + ids.length - 1, prompts * prompt);
}

/** How many tokens of a continuation are scored. */
export function scoredTokens({ continuations, scored }: TokenTree, index: number): number {
  const mask = scored?.[index];
  return mask === undefined ? (continuations[index]?.length ?? 0) : mask.reduce((sum, flag) => sum + flag, 0);
}
