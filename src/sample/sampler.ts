/**
 * @file A model made ready for sampling: weights laid out for products by rows, a cache of keys and values, and the two passes,
 * prefill and decode. Products are made in fp32, or in bf16 with sums in fp32; everything between them is fp32. Every row
 * is computed by itself, so that a response does not depend on who shares its batch.
 */

import type { ModelConfig } from '../model/config.ts';
import { attentionRule, type BlockContext, decoderBlock, finalNorm, scaledEmbedding } from '../model/decoder.ts';
import type { Model } from '../model/load.ts';
import { longAfter, type RotaryTable, rotaryTables, rotations } from '../model/rope.ts';
import { EMBEDDING, expectedWeights, headName, weightOf } from '../model/weights.ts';
import { noGrad } from '../torch/autograd.ts';
import {
  index_select,
  pagedAttention,
  readPages,
  rowGated,
  rowLinear,
  rowLinears,
  softCap_,
  to_dtype,
  treeAttentionWithKnown,
  writePages,
} from '../torch/ops.ts';
import { disposeAll, int64, outlive, scope, type Tensor } from '../torch/tensor.ts';
import { type PackedMatrix, packMatrices } from './matrices.ts';
import { PAGE_TOKENS, PagePool, pagesFor } from './pages.ts';

/**
 * Type of sampling's products. In `bfloat16` both factors are rounded to bf16 and sums are kept in fp32, by the fastest
 * instructions that the processor has (AMX, AVX512-BF16); the norms, attention and the choice of tokens stay fp32.
 */
export type SamplingDtype = 'float32' | 'bfloat16';

/** A model's weights as sampling reads them. */
export interface Sampler {
  config: ModelConfig;
  dtype: SamplingDtype;
  matrices: ReadonlyMap<string, PackedMatrix>;
  /** Norms, fp32. */
  vectors: ReadonlyMap<string, Tensor>;
  /** [V, D], in the type on disk. */
  embedding: Tensor;
  dispose(): void;
}

/** Copies a model's weights into a sampler, an adapter merged into them in fp32. The model may be disposed afterwards. */
export function openSampler(
  model: Pick<Model, 'config' | 'weights'> & Partial<Pick<Model, 'adapter'>>,
  { dtype = 'float32' }: { dtype?: SamplingDtype } = {},
): Sampler {
  const { config, weights, adapter = null } = model;
  const built = outlive(
    scope('open a sampler', () =>
      noGrad(() => {
        const matrices = packMatrices({ config, weights, adapter }, dtype);
        const vectors = new Map<string, Tensor>();
        for (const [name, shape] of expectedWeights(config)) {
          if (shape.length === 1) vectors.set(name, to_dtype(weightOf(weights, name), 'float32', { copy: true }));
        }
        const embedding = weightOf(weights, EMBEDDING);
        return { matrices, vectors, embedding: to_dtype(embedding, embedding.dtype, { copy: true }) };
      }),
    ),
  );
  return { config, dtype, ...built, dispose: () => disposeAll([built.matrices, built.vectors, built.embedding]) };
}

/** What a batch of sequences shares: their keys and values, and the rotations of positions 0 .. length - 1. */
export interface Cache {
  pages: PagePool;
  length: number;
  rotary: RotaryTable[];
  dispose(): void;
}

/** A cache for sequences of at most `length` tokens, prompt included; keys and values are kept in the sampler's type. */
export function openCache({ config, dtype, embedding: { device } }: Sampler, length: number): Cache {
  const pages = new PagePool(config, { dtype, device });
  const rotary = outlive(scope('open a cache', () => rotaryTables(config, length, device)));
  const dispose = (): void => {
    pages.dispose();
    disposeAll(rotary);
  };
  return { pages, length, rotary, dispose };
}

function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`No ${what}`);
  return value;
}

type Attend = BlockContext['attend'];

/** A token's position, and the length of the prompt that it belongs to or follows. */
interface TokenPlace {
  position: number;
  promptLength: number;
}

function runBlocks(
  sampler: Sampler,
  cache: Cache,
  input: { ids: readonly number[]; places: readonly TokenPlace[]; attend: Attend },
): Tensor {
  const { config, matrices, vectors } = sampler;
  // A sequence that starts long stays long; one that would become it is refused (generate.ts).
  const limit = longAfter(config);
  const rows = input.places.map(({ position, promptLength }) => position + (promptLength > limit ? cache.length : 0));
  const arithmetic = arithmeticOf(sampler);
  const matrix = (name: string): PackedMatrix => required(matrices.get(name), name);
  const context: BlockContext = {
    config,
    vector: (name) => required(vectors.get(name), name),
    linear: (x, name) => product(x, matrix(name), arithmetic),
    together: {
      products: (x, [first = '']) => {
        const { panels, outputs, bias } = matrix(first);
        return rowLinears(x, panels, outputs, { bias, arithmetic });
      },
      gated: (x, gate) => {
        const { panels, outputs } = matrix(gate);
        const activation = config.activation === 'silu' ? 'silu' : 'gelu_tanh';
        return rowGated(x, panels, outputs[0] ?? 0, activation, { arithmetic });
      },
    },
    attend: input.attend,
    rotation: rotations(config, cache.rotary, rows),
  };
  const rows_TD = index_select(sampler.embedding, 0, int64(input.ids, { device: sampler.embedding.device }));
  let x_TD = scaledEmbedding(to_dtype(rows_TD, 'float32'), config);
  for (let layer = 0; layer < config.layers; layer++) {
    const input_TD = x_TD;
    x_TD = scope('block', () => decoderBlock(input_TD, layer, context));
  }
  return finalNorm(x_TD, context);
}

function product(x: Tensor, { panels, outputs, bias }: PackedMatrix, arithmetic: string): Tensor {
  return rowLinear(x, panels, outputs[0] ?? 0, { bias, arithmetic });
}

function arithmeticOf({ dtype }: Sampler): string {
  return dtype === 'bfloat16' ? 'fastest' : 'float32';
}

function logitsOf(sampler: Sampler, hidden_TD: Tensor): Tensor {
  const { config, matrices } = sampler;
  const logits_TV = product(hidden_TD, required(matrices.get(headName(config)), 'head'), arithmeticOf(sampler));
  return config.logitSoftCap > 0 ? softCap_(logits_TV, config.logitSoftCap) : logits_TV;
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
      const { device } = sampler.embedding;
      const { prompts, order, segments, known, seen } = promptTrees(given);
      const fresh = prompts.flatMap(({ ids, pages, known: first }) =>
        ids.slice(first).map((id, i) => ({ id, position: first + i, promptLength: ids.length, pages })),
      );
      const written_T = int64(
        fresh.map(({ pages, position }) => placeOf(pages, position)),
        { device },
      );
      const seen_S = int64(seen, { device });
      const attend: Attend = ({ q_THd, k_TKd, v_TKd }, layer) => {
        const { keys, values } = cache.pages.layer(layer);
        writePages(keys, values, k_TKd, v_TKd, written_T);
        // As they were written: a token sees the same numbers whoever computed them, now or in an earlier pass.
        const [seenKeys_SKd, seenValues_SKd] = readPages(keys, values, seen_S);
        const { scale, window, softCap } = attentionRule(sampler.config, layer);
        const query = to_dtype(q_THd, keys.dtype);
        return treeAttentionWithKnown(query, seenKeys_SKd, seenValues_SKd, segments, known, scale, { window, softCap });
      };
      const hidden_TD = runBlocks(sampler, cache, { ids: fresh.map(({ id }) => id), places: fresh, attend });
      const ends: number[] = [];
      let end = -1;
      prompts.forEach(({ ids, known: first }, i) => {
        end += ids.length - first;
        ends[order[i] ?? 0] = end;
      });
      return logitsOf(sampler, index_select(hidden_TD, 0, int64(ends, { device })));
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

/** Where a token lies in a pool: its page's number and its place there. */
function placeOf(pages: readonly number[], position: number): number {
  return required(pages[Math.floor(position / PAGE_TOKENS)], 'page') * PAGE_TOKENS + (position % PAGE_TOKENS);
}

/** One sequence of a decoding batch: its pages, its prompt's, and the token at `position` of its response. */
export interface DecodeRow {
  prompt: { pages: readonly number[]; length: number };
  pages: readonly number[];
  /** Index of `token` in the response; it becomes part of the cache. */
  position: number;
  token: number;
}

/** Runs one token of every row and returns the logits after it, [rows, V]. */
export function decode(sampler: Sampler, cache: Cache, rows: readonly DecodeRow[]): Tensor {
  return noGrad(() =>
    scope('decode', () => {
      const { device } = sampler.embedding;
      const written_B = int64(
        rows.map(({ pages, position }) => placeOf(pages, position)),
        { device },
      );
      const perRow = Math.max(...rows.map(({ prompt, pages }) => prompt.pages.length + pages.length));
      const tables = rows.flatMap(({ prompt, pages }) => {
        const unused = perRow - prompt.pages.length - pages.length;
        return [...prompt.pages, ...pages, ...Array<number>(unused).fill(0)];
      });
      const tables_BM = int64(tables, { shape: [rows.length, perRow], device });
      const lengths_B2 = int64(
        rows.flatMap(({ prompt, position }) => [prompt.length, position + 1]),
        { shape: [rows.length, 2], device },
      );
      const attend: Attend = ({ q_THd, k_TKd, v_TKd }, layer) => {
        const { keys, values } = cache.pages.layer(layer);
        writePages(keys, values, k_TKd, v_TKd, written_B);
        const { scale, window, softCap } = attentionRule(sampler.config, layer);
        return pagedAttention(q_THd, keys, values, tables_BM, lengths_B2, scale, { window, softCap });
      };
      const places = rows.map(({ prompt, position }) => ({
        position: prompt.length + position,
        promptLength: prompt.length,
      }));
      const hidden_TD = runBlocks(sampler, cache, { ids: rows.map(({ token }) => token), places, attend });
      return logitsOf(sampler, hidden_TD);
    }),
  );
}
