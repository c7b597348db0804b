/**
 * @file Keys and values of what is being sampled, in pages of 16 tokens. A sequence lists the pages of its prompt, which all
 * samples of the prompt list too, and its own; prompts that begin alike list the same pages. Memory follows what is there, not
 * the longest prompt.
 */
import type { ModelConfig } from '../model/config.ts';
import { noGrad } from '../torch/autograd.ts';
import type { Dtype } from '../torch/dtype.ts';
import { copy_, empty_memory_format, narrow } from '../torch/ops.ts';
import { disposeAll, outlive, scope, type Tensor } from '../torch/tensor.ts';

/** Tokens of a page; native/kernels/cpu/pages.h draws one. */
export const PAGE_TOKENS = 16;

/** Pages that hold some tokens. */
export function pagesFor(tokens: number): number {
  return Math.ceil(tokens / PAGE_TOKENS);
}

/** Where a token of a sequence lies in a pool: its page's number and its place there. */
export function placeOf(pages: readonly number[], position: number): number {
  const page = pages[Math.floor(position / PAGE_TOKENS)];
  if (page === undefined) throw new Error(`No page for position ${position}`);
  return page * PAGE_TOKENS + (position % PAGE_TOKENS);
}

/** Keys [pages, K, d, 16] and values [pages, K, 16, d] of one layer. */
export interface LayerPages {
  keys: Tensor;
  values: Tensor;
}

/** The pages of all layers: a number names the same page in each. A class because it is what taking and giving changes. */
export class PagePool {
  readonly #config: ModelConfig;
  readonly #placement: { dtype: Dtype; device: string };
  readonly #expected: number;
  #layers: LayerPages[] = [];
  #count = 0;
  #free: number[] = [];
  /** Pages that more than one holds, with how many hold them. */
  readonly #holders = new Map<number, number>();

  /** `expected` pages are asked for at once; what is not used of them is not touched, and takes no memory. */
  constructor(config: ModelConfig, placement: { dtype: Dtype; device: string }, expected = 0) {
    this.#config = config;
    this.#placement = placement;
    this.#expected = expected;
  }

  layer(index: number): LayerPages {
    const layer = this.#layers[index];
    if (layer === undefined) throw new Error(`No pages of layer ${index}`);
    return layer;
  }

  /** Numbers of free pages, neighbours if there are any, which hold anything; the pool grows when there are too few. */
  take(count: number): number[] {
    if (this.#free.length < count) this.#grow(count - this.#free.length);
    return this.#free.splice(this.#free.length - count, count).reverse();
  }

  /** Lends pages that are lent already to one more: each of them gives them back. */
  share(pages: readonly number[]): void {
    for (const page of pages) this.#holders.set(page, (this.#holders.get(page) ?? 1) + 1);
  }

  /** Takes pages back; they are free when nobody else holds them. */
  give(pages: readonly number[]): void {
    this.#free.push(...pages.toReversed().filter((page) => this.#isLast(page)));
  }

  dispose(): void {
    disposeAll(this.#layers);
    this.#layers = [];
  }

  /** Counts one holder less; says whether it was the last one. */
  #isLast(page: number): boolean {
    const others = (this.#holders.get(page) ?? 1) - 1;
    if (others > 1) this.#holders.set(page, others);
    else this.#holders.delete(page);
    return others === 0;
  }

  /** By half at least, so that growing costs little on the whole. */
  #grow(missing: number): void {
    const before = this.#count;
    const after = Math.max(this.#expected, before + Math.max(missing, Math.ceil(before / 2), 16));
    const { layers, keyValueHeads, headSize } = this.#config;
    const grown = (old: Tensor | undefined, shape: readonly number[]): Tensor => {
      const pages = outlive(
        scope('grow pages', () =>
          noGrad(() => {
            const larger = empty_memory_format([after, keyValueHeads, ...shape], this.#placement);
            if (old !== undefined) copy_(narrow(larger, 0, 0, before), old);
            return larger;
          }),
        ),
      );
      old?.dispose();
      return pages;
    };
    for (let layer = 0; layer < layers; layer++) {
      const old = this.#layers[layer];
      this.#layers[layer] = {
        keys: grown(old?.keys, [headSize, PAGE_TOKENS]),
        values: grown(old?.values, [PAGE_TOKENS, headSize]),
      };
    }
    this.#count = after;
    // The lowest number on top.
    this.#free.unshift(...Array.from({ length: after - before }, (_, i) => after - 1 - i));
  }
}
