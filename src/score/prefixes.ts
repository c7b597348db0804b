/**
 * @file Trees whose prompts begin alike, such as the questions of one subject behind the same examples: what they share is read once a
 * batch. Only for scoring; training's trees have no prefix.
 */
import { type PackedTrees, packTrees } from './packing.ts';
import { type TokenIds, type TokenTree, treeTokens } from './trees.ts';

/** Shorter beginnings are not worth a segment of their own. */
const LEAST_SHARED = 16;

/**
 * The same trees, with a common prefix where trees that follow each other begin alike: a tree joins those before it as long as that
 * saves tokens. Where the model turns positions of long sequences otherwise (`longAfter`), long trees share nothing.
 */
export function sharePrefixes(trees: readonly TokenTree[], longAfter = Number.POSITIVE_INFINITY): TokenTree[] {
  const result: TokenTree[] = [];
  let group: TokenTree[] = [];
  let shared = 0;
  const close = (): void => {
    result.push(...(group.length > 1 ? withPrefix(group, shared) : group));
    group = [];
  };
  for (const tree of trees) {
    const [first] = group;
    const length = first === undefined ? 0 : commonPrompt(first, tree, shared);
    const isWorth = length >= LEAST_SHARED && group.length * length >= (group.length - 1) * shared;
    if (first === undefined || !isWorth || isLong(tree, longAfter)) {
      close();
      group = [tree];
      shared = isLong(tree, longAfter) ? 0 : tree.promptIds.length - 1;
      continue;
    }
    group.push(tree);
    shared = length;
  }
  close();
  return result;
}

/** Batches of at most `maxTokens` tokens, a larger tree alone; trees stay in their order, and each batch reads a prefix once. */
export function prefixBatches(
  trees: readonly TokenTree[],
  maxTokens: number,
  longAfter = Number.POSITIVE_INFINITY,
): PackedTrees<TokenTree>[] {
  const groups: TokenTree[][] = [];
  let tokens = 0;
  let prefix: TokenIds | undefined;
  for (const tree of trees) {
    const own = treeTokens(tree, longAfter);
    const added = own + (tree.prefixIds === prefix ? 0 : (tree.prefixIds?.length ?? 0));
    const group = groups.at(-1);
    if (group === undefined || tokens + added > maxTokens) {
      groups.push([tree]);
      tokens = own + (tree.prefixIds?.length ?? 0);
    } else {
      group.push(tree);
      tokens += added;
    }
    prefix = tree.prefixIds;
  }
  return groups.map((group) => packTrees(group, longAfter));
}

function withPrefix(group: readonly TokenTree[], length: number): TokenTree[] {
  const prefixIds = group[0]?.promptIds.subarray(0, length) ?? new Int32Array();
  return group.map((tree) => ({ ...tree, prefixIds, promptIds: tree.promptIds.subarray(length) }));
}

/** How much of two prompts is equal, at most `most`; each keeps a token of its own. */
function commonPrompt(a: TokenTree, b: TokenTree, most: number): number {
  const limit = Math.min(most, a.promptIds.length - 1, b.promptIds.length - 1);
  let length = 0;
  while (length < limit && a.promptIds[length] === b.promptIds[length]) length++;
  return length;
}

function isLong({ promptIds, continuations }: TokenTree, longAfter: number): boolean {
  return continuations.some((ids) => promptIds.length + ids.length > longAfter);
}
