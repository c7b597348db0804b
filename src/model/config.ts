/**
 * @file A decoder's configuration as the rest of the package sees it: what differs between families is data here. How it is
 * read from config.json: read-config.ts.
 */

/**
 * Rotary positions. `linear` divides all frequencies by `factor`; `llama3` (Llama 3.1) and `yarn` (arXiv 2309.00071) divide
 * those of long wavelengths; `longrope` (arXiv 2402.13753) divides each by a number of its own, by `longFactors` in
 * sequences of more than originalMaxPositions tokens. Where there is an attentionFactor, cosines and sines are multiplied by it.
 */
export type RopeConfig =
  | { kind: 'default'; theta: number }
  | { kind: 'linear'; theta: number; factor: number }
  | {
      kind: 'llama3';
      theta: number;
      factor: number;
      lowFrequencyFactor: number;
      highFrequencyFactor: number;
      originalMaxPositions: number;
    }
  | {
      kind: 'yarn';
      theta: number;
      factor: number;
      /** Rotations over originalMaxPositions above which a frequency is kept, and below which it is divided. */
      betaFast: number;
      betaSlow: number;
      truncate: boolean;
      originalMaxPositions: number;
      attentionFactor: number;
    }
  | {
      kind: 'longrope';
      theta: number;
      shortFactors: readonly number[];
      longFactors: readonly number[];
      originalMaxPositions: number;
      attentionFactor: number;
    };

/** What one layer's attention sees, and how it knows positions. */
export interface LayerAttention {
  /** Tokens that a token sees, itself included; 0 is all before it. */
  window: number;
  /** Index into ModelConfig.ropes. */
  rope: number;
}

/** A decoder-only transformer as decoder.ts runs it. Sizes in elements. */
export interface ModelConfig {
  /** Its name in messages: config.json's model_type. */
  family: string;
  /** The text part of a model that also sees images: its weights carry a prefix in the files, the rest is left alone. */
  part: 'whole' | 'text';
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  /** Key and value heads (grouped queries when fewer than heads). */
  keyValueHeads: number;
  headSize: number;
  vocabularySize: number;
  maxPositions: number;
  /** Of the gated MLP. */
  activation: 'silu' | 'gelu-tanh';
  normEpsilon: number;
  /** A norm multiplies by its weight, or by one plus its weight. */
  normScale: 'weight' | 'one-plus-weight';
  /** Norms stand before attention and MLP, after them (before they are added), or both. */
  normPlacement: 'before' | 'after' | 'around';
  /** Norm of queries and keys before rotation: none, of each head, or of the whole projection. */
  queryKeyNorm: 'none' | 'per-head' | 'whole';
  /** One matrix each for queries, keys, values, gate and up; or one for the first three and one for the last two. */
  projections: 'separate' | 'fused';
  biases: { queryKeyValue: boolean; output: boolean; mlp: boolean };
  /** Attention scores are products of queries and keys times this. */
  attentionScale: number;
  /** Scores s become cap * tanh(s / cap); 0 is none. */
  attentionSoftCap: number;
  /** The same for logits. */
  logitSoftCap: number;
  /** Rows of the embedding are multiplied by this. */
  embeddingScale: number;
  /** One entry a layer. */
  layerAttention: readonly LayerAttention[];
  ropes: readonly RopeConfig[];
  /** The head's weights are the embedding's. */
  tiedHead: boolean;
  /** config.json as it was, for saving; its text tells whole numbers from others. */
  raw: { fields: Record<string, unknown>; text: string };
}
