/**
 * @file A model made ready for sampling: weights laid out for products by rows, key/value caches, and the two passes,
 * prefill and decode. Products are made in fp32, or in bf16 with sums in fp32; everything between them is fp32. Every row
 * is computed by itself, so that a response does not depend on who shares its batch.
 */

import { mergedWeight } from '../model/adapter/lora.ts';
import type { ModelConfig } from '../model/config.ts';
import { attentionRule, type BlockContext, decoderBlock, finalNorm, scaledEmbedding } from '../model/decoder.ts';
import type { Model } from '../model/load.ts';
import { longAfter, type RotaryTable, rotaryTables, rotations } from '../model/rope.ts';
import { biasName, EMBEDDING, expectedWeights, headName } from '../model/weights.ts';
import { noGrad } from '../torch/autograd.ts';
import {
  decodeAttention,
  index_copy_,
  index_select,
  packRows,
  rowLinear,
  softCap_,
  to_dtype,
  treeAttention,
  view,
  zeros,
} from '../torch/ops.ts';
import { disposeAll, int64, keep, scope, type Tensor } from '../torch/tensor.ts';

/**
 * Type of sampling's products. In `bfloat16` both factors are rounded to bf16 and sums are kept in fp32, by the fastest
 * instructions that the processor has (AMX, AVX512-BF16); the norms, attention and the choice of tokens stay fp32.
 */
export type SamplingDtype = 'float32' | 'bfloat16';

/** A model's weights as sampling reads them. */
export interface Sampler {
  config: ModelConfig;
  dtype: SamplingDtype;
  /** Matrices, packed by native `pack_rows`. */
  packed: ReadonlyMap<string, Tensor>;
  /** Norms and biases, fp32. */
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
  const { config, adapter = null } = model;
  // fp32 products widen bf16 weights as they read them.
  const inDtype = (weight: Tensor): Tensor => (dtype === 'bfloat16' ? to_dtype(weight, 'bfloat16') : weight);
  const built = keep(
    scope('open a sampler', () =>
      noGrad(() => {
        const packed = new Map<string, Tensor>();
        const vectors = new Map<string, Tensor>();
        let embedding: Tensor | null = null;
        for (const [name, shape] of expectedWeights(config)) {
          const weight = model.weights.get(name);
          if (weight === undefined) throw new Error(`No weight ${name}`);
          if (shape.length === 1) vectors.set(name, to_dtype(weight, 'float32', { copy: true }));
          else if (name !== EMBEDDING || config.tiedHead)
            packed.set(name, packRows(inDtype(mergedWeight(name, weight, adapter))));
          if (name === EMBEDDING) embedding = to_dtype(weight, weight.dtype, { copy: true });
        }
        if (embedding === null) throw new Error('No embedding');
        return { packed, vectors, embedding: embedding as Tensor };
      }),
    ),
  );
  return { config, dtype, ...built, dispose: () => disposeAll([built.packed, built.vectors, built.embedding]) };
}

/** Where a run of tokens goes: slot and first position of a cache. */
export interface CachePlace {
  slot: number;
  length: number;
}

/** Keys and values of prompts (shared by their samples) and of responses, one pair of tensors a layer, [slots, length, K, d]. */
export interface Caches {
  promptLength: number;
  responseLength: number;
  promptKeys: Tensor[];
  promptValues: Tensor[];
  keys: Tensor[];
  values: Tensor[];
  rotary: RotaryTable[];
  dispose(): void;
}

export function openCaches(
  { config, embedding: { device } }: Pick<Sampler, 'config' | 'embedding'>,
  sizes: { slots: number; promptLength: number; responseLength: number },
): Caches {
  const build = (length: number): Tensor[] =>
    Array.from({ length: config.layers }, () =>
      zeros([sizes.slots, length, config.keyValueHeads, config.headSize], { dtype: 'float32', device }),
    );
  const tensors = keep(
    scope('open caches', () => ({
      promptKeys: build(sizes.promptLength),
      promptValues: build(sizes.promptLength),
      keys: build(sizes.responseLength),
      values: build(sizes.responseLength),
      rotary: rotaryTables(config, sizes.promptLength + sizes.responseLength, device),
    })),
  );
  const { promptLength, responseLength } = sizes;
  return { promptLength, responseLength, ...tensors, dispose: () => disposeAll(tensors) };
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
  caches: Caches,
  input: { ids: readonly number[]; places: readonly TokenPlace[]; attend: Attend },
): Tensor {
  const { config, packed, vectors } = sampler;
  // A sequence that starts long stays long; one that would become it is refused (generate.ts).
  const limit = longAfter(config);
  const tableLength = caches.promptLength + caches.responseLength;
  const rows = input.places.map(({ position, promptLength }) => position + (promptLength > limit ? tableLength : 0));
  const shapes = expectedWeights(config);
  const context: BlockContext = {
    config,
    vector: (name) => required(vectors.get(name), name),
    linear: (x, name) =>
      rowLinear(x, required(packed.get(name), name), required(shapes.get(name)?.[0], name), {
        bias: vectors.get(biasName(name)),
        arithmetic: arithmeticOf(sampler),
      }),
    attend: input.attend,
    rotation: rotations(config, caches.rotary, rows),
  };
  const rows_TD = index_select(sampler.embedding, 0, int64(input.ids, { device: sampler.embedding.device }));
  let x_TD = scaledEmbedding(to_dtype(rows_TD, 'float32'), config);
  for (let layer = 0; layer < config.layers; layer++) {
    const input_TD = x_TD;
    x_TD = scope('block', () => decoderBlock(input_TD, layer, context));
  }
  return finalNorm(x_TD, context);
}

function arithmeticOf({ dtype }: Sampler): string {
  return dtype === 'bfloat16' ? 'fastest' : 'float32';
}

function logitsOf(sampler: Sampler, hidden_TD: Tensor): Tensor {
  const { config, packed } = sampler;
  const logits_TV = rowLinear(hidden_TD, required(packed.get(headName(config)), 'head'), config.vocabularySize, {
    arithmetic: arithmeticOf(sampler),
  });
  return config.logitSoftCap > 0 ? softCap_(logits_TV, config.logitSoftCap) : logits_TV;
}

/** Copies keys or values [T, K, d] to rows of a cache seen as [slots * length, K, d]. */
function remember(cache: Tensor, rows: Tensor, values_TKd: Tensor): void {
  const [slots = 0, length = 0, heads = 0, size = 0] = cache.shape;
  index_copy_(view(cache, [slots * length, heads, size]), 0, rows, values_TKd);
}

/** Runs whole prompts, fills their cache slots, and returns the logits after each prompt, [prompts, V]. */
export function prefill(
  sampler: Sampler,
  caches: Caches,
  prompts: readonly { ids: readonly number[]; slot: number }[],
): Tensor {
  return noGrad(() =>
    scope('prefill', () => {
      const rows: number[] = [];
      const places: TokenPlace[] = [];
      const last: number[] = [];
      for (const { ids, slot } of prompts) {
        ids.forEach((_, position) => {
          places.push({ position, promptLength: ids.length });
          rows.push(slot * caches.promptLength + position);
        });
        last.push(rows.length - 1);
      }
      // Prompts are trees of one segment: each attends to itself, and no other prompt changes a bit of it.
      let start = 0;
      const segments = prompts.flatMap(({ ids }) => {
        const segment = [start, ids.length, -1];
        start += ids.length;
        return segment;
      });
      const rows_T = int64(rows, { device: sampler.embedding.device });
      const attend: Attend = ({ q_THd, k_TKd, v_TKd }, layer) => {
        const keys = required(caches.promptKeys[layer], 'cache');
        const values = required(caches.promptValues[layer], 'cache');
        remember(keys, rows_T, k_TKd);
        remember(values, rows_T, v_TKd);
        const { scale, window, softCap } = attentionRule(sampler.config, layer);
        return treeAttention(q_THd, k_TKd, v_TKd, segments, scale, { window, softCap });
      };
      const hidden_TD = runBlocks(sampler, caches, { ids: prompts.flatMap(({ ids }) => ids), places, attend });
      return logitsOf(sampler, index_select(hidden_TD, 0, int64(last, { device: hidden_TD.device })));
    }),
  );
}

/** One sequence of a decoding batch: its prompt's place, its own slot, and the token at `position` of its response. */
export interface DecodeRow {
  prompt: CachePlace;
  slot: number;
  /** Index of `token` in the response; it becomes part of the cache. */
  position: number;
  token: number;
}

/** Runs one token of every row and returns the logits after it, [rows, V]. */
export function decode(sampler: Sampler, caches: Caches, rows: readonly DecodeRow[]): Tensor {
  return noGrad(() =>
    scope('decode', () => {
      const { device } = sampler.embedding;
      const rows_B = int64(
        rows.map(({ slot, position }) => slot * caches.responseLength + position),
        { device },
      );
      const layout = rows.flatMap(({ prompt, slot, position }) => [prompt.slot, prompt.length, slot, position + 1]);
      const attend: Attend = ({ q_THd, k_TKd, v_TKd }, layer) => {
        const keys = required(caches.keys[layer], 'cache');
        const values = required(caches.values[layer], 'cache');
        remember(keys, rows_B, k_TKd);
        remember(values, rows_B, v_TKd);
        const promptKeys = required(caches.promptKeys[layer], 'cache');
        const promptValues = required(caches.promptValues[layer], 'cache');
        const { scale, window, softCap } = attentionRule(sampler.config, layer);
        return decodeAttention(q_THd, promptKeys, promptValues, keys, values, layout, scale, { window, softCap });
      };
      const places = rows.map(({ prompt, position }) => ({
        position: prompt.length + position,
        promptLength: prompt.length,
      }));
      const hidden_TD = runBlocks(sampler, caches, { ids: rows.map(({ token }) => token), places, attend });
      return logitsOf(sampler, hidden_TD);
    }),
  );
}
