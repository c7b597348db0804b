/** @file Hugging Face's names of a decoder's weights, and the shapes they must have. */
import type { ModelConfig } from './config.ts';

/** Names of one block's weights. */
export interface BlockNames {
  attentionNorm: string;
  query: string;
  key: string;
  value: string;
  output: string;
  mlpNorm: string;
  gate: string;
  up: string;
  down: string;
}

export const EMBEDDING = 'model.embed_tokens.weight';
export const FINAL_NORM = 'model.norm.weight';
export const HEAD = 'lm_head.weight';

/** Name of the matrix that gives logits: the head, or the embedding when it is tied. */
export function headName(config: ModelConfig): string {
  return config.tiedHead ? EMBEDDING : HEAD;
}

export function blockNames(layer: number): BlockNames {
  const prefix = `model.layers.${layer}`;
  return {
    attentionNorm: `${prefix}.input_layernorm.weight`,
    query: `${prefix}.self_attn.q_proj.weight`,
    key: `${prefix}.self_attn.k_proj.weight`,
    value: `${prefix}.self_attn.v_proj.weight`,
    output: `${prefix}.self_attn.o_proj.weight`,
    mlpNorm: `${prefix}.post_attention_layernorm.weight`,
    gate: `${prefix}.mlp.gate_proj.weight`,
    up: `${prefix}.mlp.up_proj.weight`,
    down: `${prefix}.mlp.down_proj.weight`,
  };
}

/** The bias that belongs to a matrix. */
export function biasName(weight: string): string {
  return weight.replace(/\.weight$/, '.bias');
}

/** Every weight of the model with its shape, in order of use. */
export function expectedWeights(config: ModelConfig): Map<string, number[]> {
  const { hiddenSize, intermediateSize, vocabularySize, headSize } = config;
  const queries = config.heads * headSize;
  const keys = config.keyValueHeads * headSize;
  const shapes = new Map<string, number[]>([[EMBEDDING, [vocabularySize, hiddenSize]]]);
  const matrix = (name: string, outputs: number, inputs: number, bias: boolean): void => {
    shapes.set(name, [outputs, inputs]);
    if (bias) shapes.set(biasName(name), [outputs]);
  };
  for (let layer = 0; layer < config.layers; layer++) {
    const names = blockNames(layer);
    shapes.set(names.attentionNorm, [hiddenSize]);
    matrix(names.query, queries, hiddenSize, config.attentionBias);
    matrix(names.key, keys, hiddenSize, config.attentionBias);
    matrix(names.value, keys, hiddenSize, config.attentionBias);
    matrix(names.output, hiddenSize, queries, config.attentionBias);
    shapes.set(names.mlpNorm, [hiddenSize]);
    matrix(names.gate, intermediateSize, hiddenSize, config.mlpBias);
    matrix(names.up, intermediateSize, hiddenSize, config.mlpBias);
    matrix(names.down, hiddenSize, intermediateSize, config.mlpBias);
  }
  shapes.set(FINAL_NORM, [hiddenSize]);
  if (!config.tiedHead) shapes.set(HEAD, [vocabularySize, hiddenSize]);
  return shapes;
}
