/**
 * @file config.json of a Hugging Face model directory, normalised once: the rest of the package sees ModelConfig only.
 * What differs between families is data here; what each family's fields mean is in families/. What this decoder cannot
 * run exactly is refused with the field that is the reason.
 */
import { parseConfig, readConfigFile, refuseField, textField } from './config-file.ts';
import { gemma2, gemma3, gemma3WithImages } from './families/gemma.ts';
import { llama } from './families/llama.ts';
import { mistral } from './families/mistral.ts';
import { olmo2 } from './families/olmo.ts';
import { phi3 } from './families/phi.ts';
import { qwen2, qwen3 } from './families/qwen.ts';
import { type Family, rawSchema } from './families/raw.ts';

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

const FAMILIES: ReadonlyMap<string, Family> = new Map([
  ['llama', llama],
  ['mistral', mistral],
  ['qwen2', qwen2],
  ['qwen3', qwen3],
  ['phi3', phi3],
  ['gemma2', gemma2],
  ['gemma3_text', gemma3],
  ['gemma3', gemma3WithImages],
  ['olmo2', olmo2],
]);

/** A parsed config.json as ModelConfig; ModelError naming file and field for what cannot be run. */
export function normaliseConfig(value: unknown, path: string, text = JSON.stringify(value)): ModelConfig {
  const kind = textField(value, 'model_type');
  const family = FAMILIES.get(kind ?? '');
  if (family === undefined) {
    refuseField(path, { field: 'model_type', value: kind, allowed: [...FAMILIES.keys()].join(', ') });
  }
  const whole = value as Record<string, unknown>;
  const fields = family.textPart === undefined ? whole : family.textPart(whole, path);
  const raw = parseConfig(rawSchema, { ...family.defaults, ...fields }, path);
  return family.normalise({ raw, given: { fields, text }, path });
}

/** Reads and normalises `directory`/config.json. */
export function readModelConfig(directory: string): ModelConfig {
  const { path, value, text } = readConfigFile(directory);
  return normaliseConfig(value, path, text);
}
