/**
 * @file A model made ready for sampling: weights laid out for products by rows, a cache of keys and values, and the two passes,
 * prefill and decode. Products are made in fp32, or in bf16 with sums in fp32; everything between them is fp32. Every row
 * is computed by itself, so that a response does not depend on who shares its batch.
 */

import type { Model } from '../model/load.ts';
import { embedTokens } from '../model/packed.ts';
import { type RotaryTable, rotaryRow, rotaryTables, rotations } from '../model/rope.ts';
import { blockSettings, logitsByRows, openRowWeights, type RowWeights } from '../model/row-weights.ts';
import { noGrad } from '../torch/autograd.ts';
import { decodeBlocks_, prefillBlocks, rmsNorm } from '../torch/ops.ts';
import { disposeAll, int64, outlive, scope, type Tensor } from '../torch/tensor.ts';
import type { RowLayout } from './layout.ts';
import { PAGE_TOKENS, PagePool, pagesFor, placeOf } from './pages.ts';

/**
 * Type of sampling's products. In `bfloat16` both factors are rounded to bf16 and sums are kept in fp32, by the fastest
 * instructions that the processor has (AMX, AVX512-BF16); the norms, attention and the choice of tokens stay fp32.
 */
export type SamplingDtype = 'float32' | 'bfloat16';

/** A model's weights as sampling reads them. */
export interface Sampler extends RowWeights {
  dispose(): void;
}

/** Lays a model's weights out for a sampler, an adapter merged into them in fp32. The model may be disposed afterwards. */
export function openSampler(
  model: Pick<Model, 'config' | 'weights'> & Partial<Pick<Model, 'adapter'>>,
  { dtype = 'float32' }: { dtype?: SamplingDtype } = {},
): Sampler {
  const rows = openRowWeights(model, dtype);
  return { ...rows, dispose: () => disposeAll([rows.packed, rows.embedding]) };
}

/** A pool begins with no more than this, and grows beyond when it is full; a card's memory holds more, and copies cost it time. */
function mostExpectedBytes(device: string): number {
  return device === 'cpu' ? 2 ** 30 : 2 ** 33;
}

/** What a batch of sequences shares: their keys and values, and the rotations of positions 0 .. length - 1. */
export interface Cache {
  pages: PagePool;
  length: number;
  rotary: RotaryTable[];
  dispose(): void;
}

/**
 * A cache for sequences of at most `length` tokens, prompt included, and about so many pages in all; keys and values are kept in
 * the sampler's type.
 */
export function openCache({ config, dtype, embedding: { device } }: Sampler, length: number, expectedPages = 0): Cache {
  const { layers, keyValueHeads, headSize } = config;
  const pageBytes = 2 * layers * keyValueHeads * headSize * PAGE_TOKENS * (dtype === 'bfloat16' ? 2 : 4);
  const expected = Math.min(expectedPages, Math.floor(mostExpectedBytes(device) / pageBytes));
  const pages = new PagePool(config, { dtype, device }, expected);
  const rotary = outlive(scope('open a cache', () => rotaryTables(config, length, device)));
  const dispose = (): void => {
    pages.dispose();
    disposeAll(rotary);
  };
  return { pages, length, rotary, dispose };
}

/** New tokens of a pass, [T] each: their ids, their places in the pages, and their rows in the rotary tables. */
interface NewTokens {
  ids_T: Tensor;
  places_T: Tensor;
  rotary_T: Tensor;
}

/** How a pass attends: each new token to its sequence's pages, or prompts as trees of tokens that lie in pages. */
type Attention =
  | { kind: 'decode'; tables: Tensor; lengths: Tensor }
  | {
      kind: 'prefill';
      seen: Tensor;
      segments: readonly number[];
      known: readonly number[];
      /** The tokens whose output is wanted. */
      rows: Tensor;
    };

/** Runs all blocks on new tokens, which get their places in the pages; returns what the head reads: [tokens, D], of a prefill those that are wanted. */
function runBlocks(sampler: Sampler, cache: Cache, tokens: NewTokens, attention: Attention): Tensor {
  const { config, packed, embedding } = sampler;
  const rotation = rotations(config, cache.rotary, tokens.rotary_T);
  const layers = Array.from({ length: config.layers }, (_, layer) => ({
    ...cache.pages.layer(layer),
    ...rotation(layer),
    window: config.layerAttention[layer]?.window ?? 0,
  }));
  const x_TD = embedTokens(embedding, tokens.ids_T, { config, dtype: 'float32' });
  const shared = [
    x_TD,
    packed.blocks,
    layers.map(({ keys }) => keys),
    layers.map(({ values }) => values),
    layers.map(({ cos_TR }) => cos_TR),
    layers.map(({ sin_TR }) => sin_TR),
    tokens.places_T,
    layers.map(({ window }) => window),
    config.heads,
    ...blockSettings(sampler),
  ] as const;
  const hidden_TD =
    attention.kind === 'decode'
      ? decodeBlocks_(...shared, attention.tables, attention.lengths)
      : prefillBlocks(...shared, attention.seen, attention.segments, attention.known, attention.rows);
  return rmsNorm(hidden_TD, packed.finalNorm, config.normEpsilon);
}

/** A prompt to prefill: its tokens, its pages, and how many of its first tokens are in them already (whole blocks: prefixes.ts). */
export interface PrefillPrompt {
  ids: readonly number[];
  pages: readonly number[];
  known: number;
}

/** Runs what is not known of prompts, fills their pages, and returns the logits after each prompt, [prompts, V]. */
export function prefill(sampler: Sampler, cache: Cache, given: readonly PrefillPrompt[]): Tensor {
  return noGrad(() =>
    scope('prefill', () => {
      const { config, embedding } = sampler;
      const { device } = embedding;
      const { prompts, order, segments, known, seen } = promptTrees(given);
      const tokens = prompts.flatMap(({ ids, pages, known: first }) =>
        ids.slice(first).map((id, i) => {
          const position = first + i;
          return {
            id,
            place: placeOf(pages, position),
            row: rotaryRow(config, { position, promptLength: ids.length, length: cache.length }),
          };
        }),
      );
      const column = (of: (token: (typeof tokens)[number]) => number): Tensor => int64(tokens.map(of), { device });
      const ends: number[] = [];
      let end = -1;
      prompts.forEach(({ ids, known: first }, i) => {
        end += ids.length - first;
        ends[order[i] ?? 0] = end;
      });
      const hidden_PD = runBlocks(
        sampler,
        cache,
        {
          ids_T: column(({ id }) => id),
          places_T: column(({ place }) => place),
          rotary_T: column(({ row }) => row),
        },
        { kind: 'prefill', seen: int64(seen, { device }), segments, known, rows: int64(ends, { device }) },
      );
      return logitsByRows(sampler, hidden_PD);
    }),
  );
}

/**
 * Prompts as trees for native tree_attention_with_known: those with the same known beginning follow it as one tree, every other
 * one is a tree of its own.
 */
function promptTrees(given: readonly PrefillPrompt[]): {
  /** In the order of the stream. */
  prompts: PrefillPrompt[];
  /** Where each of them stands in `given`. */
  order: number[];
  segments: number[];
  /** The segments that are known. */
  known: number[];
  /** Places in the pages of all tokens of the stream, known ones too. */
  seen: number[];
} {
  const groups = new Map<string, number[]>();
  given.forEach(({ pages, known }, i) => {
    const name = known === 0 ? `${i}` : `known ${pages.slice(0, pagesFor(known)).join()}`;
    groups.set(name, [...(groups.get(name) ?? []), i]);
  });
  const segments: number[] = [];
  const known: number[] = [];
  const seen: number[] = [];
  const add = (prompt: PrefillPrompt, [from, to]: [number, number], parent: number): void => {
    segments.push(seen.length, to - from, parent);
    for (let position = from; position < to; position++) seen.push(placeOf(prompt.pages, position));
  };
  for (const members of groups.values()) {
    const prompts = members.flatMap((i) => given[i] ?? []);
    const [first] = prompts;
    let root = -1;
    if (first !== undefined && first.known > 0) {
      root = segments.length / 3;
      known.push(root);
      add(first, [0, first.known], -1);
    }
    for (const prompt of prompts) add(prompt, [prompt.known, prompt.ids.length], root);
  }
  const order = [...groups.values()].flat();
  return { prompts: order.flatMap((i) => given[i] ?? []), order, segments, known, seen };
}

/** Runs one token of every row of a layout, ids [rows], and returns the logits after it, [rows, V]. */
export function decode(sampler: Sampler, cache: Cache, layout: RowLayout, ids_T: Tensor): Tensor {
  return noGrad(() =>
    scope('decode', () => {
      const { tables_BM: tables, lengths_B2: lengths, places_B, rotary_B } = layout;
      const tokens = { ids_T, places_T: places_B, rotary_T: rotary_B };
      return logitsByRows(sampler, runBlocks(sampler, cache, tokens, { kind: 'decode', tables, lengths }));
    }),
  );
}
