/**
 * @file Beginnings that several prompts have in common, such as a benchmark's fixed examples: their keys and values are
 * computed once, by the first prompt that has them, and kept until the last one was prefilled. A beginning is a chain of
 * blocks of 32 tokens: after whole known blocks, attention gives a token the same bits as if all were computed in one piece.
 *
 *   tokens   0 .. 31 | 32 .. 63 | 64 .. 95 | 96 .. 110
 *   prompt a    A    |    B     |    C     |  ...          A and B are shared by all three, C by a and b
 *   prompt b    A    |    B     |    C     |  ...
 *   prompt c    A    |    B     |    D     |  ...          what only one prompt has, D, is no block of the chains
 */
import { PAGE_TOKENS, type PagePool } from './pages.ts';

/** Tokens of a block: what native tree_attention_with_known asks of a known root's length. */
export const BLOCK_TOKENS = 32;

const BLOCK_PAGES = BLOCK_TOKENS / PAGE_TOKENS;

/** Tokens that at least two prompts have at the same place, after the same beginning. */
export interface SharedBlock {
  /** Prompts with this block that are still to be prefilled. */
  awaited: number;
  /** The pages of its keys and values; null until a prompt was prefilled that has it. */
  pages: readonly number[] | null;
}

/** A prompt as this file sees it. Prompts of different `kind` share nothing (their keys are turned otherwise). */
export interface PrefixedPrompt {
  promptIds: readonly number[];
  kind: string;
}

/** The shared blocks of each prompt, from its beginning on. Its last token is in none: the logits after it are wanted. */
export function sharedBlocks<P extends PrefixedPrompt>(prompts: readonly P[]): Map<P, SharedBlock[]> {
  const blocks = new Map<string, SharedBlock & { name: number }>();
  const chains = prompts.map((prompt) => {
    const { promptIds, kind } = prompt;
    let before: string | number = kind;
    return Array.from({ length: Math.floor((promptIds.length - 1) / BLOCK_TOKENS) }, (_, i) => {
      const key: string = `${before}:${promptIds.slice(i * BLOCK_TOKENS, (i + 1) * BLOCK_TOKENS).join()}`;
      const block = blocks.get(key) ?? { awaited: 0, pages: null, name: blocks.size };
      blocks.set(key, block);
      block.awaited += 1;
      before = block.name;
      return block;
    });
  });
  // A chain's blocks are shared by fewer and fewer prompts, so that those of one prompt alone are its end.
  return new Map(prompts.map((prompt, i) => [prompt, (chains[i] ?? []).filter(({ awaited }) => awaited > 1)]));
}

/** Those of a prompt's blocks whose keys and values are there. */
export function knownBlocks(chain: readonly SharedBlock[]): SharedBlock[] {
  const end = chain.findIndex(({ pages }) => pages === null);
  return chain.slice(0, end < 0 ? chain.length : end);
}

/** The pages of some blocks. */
export function pagesOf(blocks: readonly SharedBlock[]): number[] {
  return blocks.flatMap(({ pages }) => pages ?? []);
}

/** Says that a prompt with `pages` was prefilled: what it computed for others is kept, what nobody else awaits is given back. */
export function settleBlocks(chain: readonly SharedBlock[], promptPages: readonly number[], pool: PagePool): void {
  chain.forEach((block, i) => {
    block.awaited -= 1;
    if (block.pages === null && block.awaited > 0) {
      block.pages = promptPages.slice(i * BLOCK_PAGES, (i + 1) * BLOCK_PAGES);
      pool.share(block.pages);
    }
    if (block.pages !== null && block.awaited === 0) {
      pool.give(block.pages);
      block.pages = null;
    }
  });
}
