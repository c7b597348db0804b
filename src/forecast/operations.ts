/** @file How many operations a pass over tokens takes, of a decoder's shape: two for each weight that a token meets. Pure. */
import type { ModelConfig } from '../model/config.ts';
import { EMBEDDING, expectedWeights, headName } from '../model/weights.ts';

/** Tokens through the model, as its cost depends on them. */
export interface Pass {
  tokens: number;
  /** Those whose next token is scored or drawn: the head's share. */
  scored: number;
}

/** Operations of a forward pass, where a token attends to `context` tokens on average. */
export function operationsOf(config: ModelConfig, { tokens, scored }: Pass, context: number): number {
  const inBlocks = 2 * blockWeights(config) * config.layers;
  const inAttention = 4 * config.layers * config.heads * config.headSize * context;
  return tokens * (inBlocks + inAttention) + scored * 2 * config.vocabularySize * config.hiddenSize;
}

/** Weights of a block's matrices, which every token meets. */
export function blockWeights(config: ModelConfig): number {
  let count = 0;
  for (const [name, shape] of expectedWeights(config)) {
    if (shape.length === 2 && name !== EMBEDDING && name !== headName(config))
      count += (shape[0] ?? 0) * (shape[1] ?? 0);
  }
  return count / config.layers;
}
