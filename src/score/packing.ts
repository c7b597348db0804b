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

/** What a segment reads beside itself: another segment, by its number, or -1 for none. */
type Parent = number;

/** A stream as it grows, token by token. */
class Stream {
  readonly ids: number[] = [];
  readonly positions: number[] = [];
  readonly long: number[] = [];
  /** Three numbers each: where it starts, its length, its parent. */
  readonly segments: number[] = [];
  /** The prefix that the last tree read, and its segment. */
  #prefix: { ids: TokenIds; segment: Parent } | null = null;

  /** Appends the tokens as a segment, and returns the row of the first; none at all are no segment. */
  append(tokens: TokenIds, from: { position: number; isLong: boolean; parent: Parent }): number {
    const start = this.ids.length;
    if (tokens.length > 0) this.segments.push(start, tokens.length, from.parent);
    tokens.forEach((id, i) => {
      this.ids.push(id);
      this.positions.push(from.position + i);
      this.long.push(from.isLong ? 1 : 0);
    });
    return start;
  }

  /** The segment of a prefix; it is appended unless the tree before read it too. */
  prefix(ids: TokenIds): Parent {
    if (this.#prefix?.ids === ids) return this.#prefix.segment;
    this.#prefix = { ids, segment: this.nextSegment };
    this.append(ids, { position: 0, isLong: false, parent: -1 });
    return this.#prefix.segment;
  }

  /** Number of the segment that would come next. */
  get nextSegment(): number {
    return this.segments.length / 3;
  }
}

/** Rows of a continuation: the one that predicts its first token (the prompt's last), and that of its first token. */
interface Rows {
  before: number;
  start: number;
}

/**
 * Packs trees, in the order given, into one stream. A prompt P0 P1 P2 with the continuations A0 A1 A2 and B0 B1 becomes
 *
 *     row        0    1    2       3    4    5
 *     token      P0   P1   P2      A0   A1   B0
 *     position   0    1    2       3    4    3
 *     segment    0    0    0       1    1    2      1 and 2 have the parent 0
 *     predicts             A0 B0   A1   A2   B1
 *
 * so rows_S is 2 3 4, 2 5 and targets_S is A0 A1 A2, B0 B1: the last token of a continuation is predicted and never read.
 *
 * `longAfter` is the length beyond which a sequence's positions are turned otherwise (model/rope.ts): a prompt with
 * continuations on both sides of it then stands twice on the stream.
 */
export function packTrees<Tree extends TokenTree>(
  trees: readonly Tree[],
  longAfter = Number.POSITIVE_INFINITY,
): PackedTrees<Tree> {
  const stream = new Stream();
  const rows: number[] = [];
  const targets: number[] = [];
  const ranges: ScoredRange[] = [];
  trees.forEach((tree, treeIndex) => {
    checkScorable(tree);
    const places = appendTree(stream, tree, longAfter);
    tree.continuations.forEach((continuation, index) => {
      const { before, start } = places[index] ?? { before: Number.NaN, start: Number.NaN };
      const begin = targets.length;
      const mask = tree.scored?.[index];
      continuation.forEach((id, i) => {
        if (mask?.[i] === 0) return;
        rows.push(i === 0 ? before : start + i - 1);
        targets.push(id);
      });
      ranges.push({ tree: treeIndex, continuation: index, begin, end: targets.length });
    });
  });
  return {
    trees,
    ids_T: Int32Array.from(stream.ids),
    positions_T: Int32Array.from(stream.positions),
    long_T: Uint8Array.from(stream.long),
    longAfter,
    segments: stream.segments,
    rows_S: Int32Array.from(rows),
    targets_S: Int32Array.from(targets),
    ranges,
  };
}

/** Puts a tree on the stream: the prompt before its short continuations, and once more before its long ones. */
function appendTree(stream: Stream, tree: TokenTree, longAfter: number): Rows[] {
  const { prefixIds, promptIds, continuations } = tree;
  if (prefixIds !== undefined) return appendTreeAfter(stream, prefixIds, tree);
  const isLong = (ids: TokenIds): boolean => promptIds.length + ids.length > longAfter;
  const places: Rows[] = [];
  for (const long of [false, true]) {
    const members = [...continuations.entries()].filter(([, ids]) => isLong(ids) === long);
    if (members.length === 0) continue;
    const parent = promptIds.length > 0 ? stream.nextSegment : -1;
    const promptStart = stream.append(promptIds, { position: 0, isLong: long, parent: -1 });
    for (const [index, ids] of members) {
      const start = stream.append(ids.subarray(0, -1), { position: promptIds.length, isLong: long, parent });
      places[index] = { before: promptStart + promptIds.length - 1, start };
    }
  }
  return places;
}

/** Puts a tree behind the prefix that it shares; no sequence with a prefix is long (prefixes.ts). */
function appendTreeAfter(stream: Stream, prefixIds: TokenIds, { promptIds, continuations }: TokenTree): Rows[] {
  const shared = stream.prefix(prefixIds);
  const parent = stream.nextSegment;
  const promptStart = stream.append(promptIds, { position: prefixIds.length, isLong: false, parent: shared });
  const position = prefixIds.length + promptIds.length;
  return continuations.map((ids) => ({
    before: promptStart + promptIds.length - 1,
    start: stream.append(ids.subarray(0, -1), { position, isLong: false, parent }),
  }));
}

/** Throws TrainingError SEQUENCE_EMPTY. */
function checkScorable(tree: TokenTree): void {
  if (!isUnscorable(tree)) return;
  throw new TrainingError(
    'SEQUENCE_EMPTY',
    `Cannot train on pair ${tree.pairId}: its prompt or a response has no tokens: drop the pair`,
    { details: { pairId: tree.pairId } },
  );
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
  return microBatchTrees(trees, maxTokens, longAfter).map((group) => packTrees(group, longAfter));
}

/** The trees of each micro-batch, not packed yet. */
export function microBatchTrees<Tree extends TokenTree>(
  trees: readonly Tree[],
  maxTokens: number,
  longAfter = Number.POSITIVE_INFINITY,
): Tree[][] {
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
  return groups;
}
