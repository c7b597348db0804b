/** @file Whether a block's activations are kept from forward to backward or computed again: by what fits in memory. */
import type { ModelConfig } from '../model/config.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { Activations } from '../score/stream.ts';
import { freeCardMemory } from '../torch/gpus.ts';

/** Memory for kept activations: what is free, and the share of it that they may take. */
export interface Room {
  freeBytes: number;
  share: number;
}

/**
 * What training has room for on a device. On the CPU that is asked before the rest is there, and most is left to weights, moments,
 * gradients and logits: what is free is what this process may still take, of the machine or of the limit that its container sets. A card is
 * asked when all but logits lies on it; one that does not answer has no room.
 */
export function roomOn(device: string, cardBytes: (device: string) => number = freeCardMemory): Room {
  return device === 'cpu'
    ? { freeBytes: process.availableMemory(), share: 0.3 }
    : { freeBytes: cardBytes(device), share: 0.7 };
}

/** Bytes that a stream of tokens keeps: per block the inputs of its products, its rotated heads, and its gates. */
export function activationBytes(config: ModelConfig, options: { tokens: number; bytesPerElement: number }): number {
  const heads = config.heads * config.headSize;
  // Block input, middle, and what norms give or, where they stand after, are given.
  const wide = (config.normPlacement === 'around' ? 6 : 4) * config.hiddenSize;
  // Queries, repeated keys and values, attention's output; queries and keys before their norm.
  const byHead = 4 * heads + (config.queryKeyNorm === 'none' ? 0 : heads + config.keyValueHeads * config.headSize);
  // Gate, up, their product.
  const elements = wide + byHead + 3 * config.intermediateSize;
  return options.tokens * config.layers * elements * options.bytesPerElement;
}

/** `auto` keeps activations when a whole micro-batch of them fits; both ways give the same bits. */
export function chooseActivations(
  { activations, microBatchTokens, dtype }: Pick<Recipe['training'], 'activations' | 'microBatchTokens' | 'dtype'>,
  config: ModelConfig,
  { freeBytes, share }: Room = roomOn('cpu'),
): Activations {
  if (activations !== 'auto') return activations;
  const bytes = activationBytes(config, { tokens: microBatchTokens, bytesPerElement: dtype === 'float32' ? 4 : 2 });
  return bytes <= freeBytes * share ? 'keep' : 'recompute';
}
