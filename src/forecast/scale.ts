/**
 * @file What training on many GPUs would take: seconds of a step, tokens a second and bytes a GPU, from the model's shape, a
 * GPU's published rates and the rates of what joins them. A prediction: none of it has been run. Pure.
 */
import type { ModelConfig } from '../model/config.ts';
import { expectedWeights } from '../model/weights.ts';
import type { Recipe } from '../recipe/schema.ts';
import { LOGITS_BYTES } from '../score/head.ts';
import { activationBytes } from '../train/activations.ts';
import { countsOf, type StateBytes, sentBytes, stateBytes } from './shares.ts';

/** GPUs that are alike, and what joins them. */
export interface Cluster {
  gpus: number;
  gpusOfNode: number;
  /** Products of bf16 at their published peak, and the share of it that training reaches. */
  peakFlops: number;
  utilisation: number;
  memoryBytes: number;
  /** Bytes a second that a GPU sends to another: within a node, and to another node. */
  nodeBytesPerSecond: number;
  networkBytesPerSecond: number;
  /** Share of these rates that a collective reaches. */
  linkEfficiency: number;
}

/** A step of training: so many tokens in all, of which each GPU computes its share, some at once. */
export interface ScaledStep {
  config: ModelConfig;
  training: Pick<Recipe['training'], 'dtype' | 'states' | 'adapter' | 'sharding'>;
  tokens: number;
  microBatchTokens: number;
}

export interface ScalePrediction {
  /** Bytes on one GPU, by what they are, and together. */
  memory: StateBytes & { activations: number; logits: number };
  memoryBytes: number;
  fits: boolean;
  /** Bytes that a GPU sends in a step. */
  sentBytes: number;
  computeSeconds: number;
  sendSeconds: number;
  stepSeconds: number;
  /** Of all GPUs together. */
  tokensPerSecond: number;
}

/** The head's chunk of logits, and its gradient written over a copy. */
const HEAD_BYTES = 2 * LOGITS_BYTES;

/**
 * compute = 4 forward passes of 2 W flops a token (one again in the backward pass), W the weights of the products;
 * send = bytes that a GPU sends / the slowest link on its way;
 * step = max(compute, send) where blocks are gathered while others compute, else compute + send.
 */
export function predictScale(step: ScaledStep, cluster: Cluster): ScalePrediction {
  const { config, training, tokens, microBatchTokens } = step;
  const shared = { config, training, ranks: cluster.gpus };
  const own = tokens / cluster.gpus;
  const passes = Math.max(1, Math.ceil(own / microBatchTokens));
  const atOnce = Math.min(microBatchTokens, own);
  const bytesPerElement = training.dtype === 'float32' ? 4 : 2;
  const inputs = atOnce * config.hiddenSize * config.layers * bytesPerElement;
  const activations = inputs + activationBytes(config, { tokens: atOnce, bytesPerElement }) / config.layers;
  const memory = { ...stateBytes(shared), activations, logits: HEAD_BYTES };
  const memoryBytes = Object.values(memory).reduce((sum, bytes) => sum + bytes, 0);

  const rate = cluster.peakFlops * cluster.utilisation;
  // Weights that are frozen get no gradient of their own: one product less of the three.
  const passesOfProducts = training.adapter.kind === 'none' ? 4 : 3;
  const computeSeconds = (passesOfProducts * 2 * productWeights(config) * own) / rate;
  const link = cluster.gpus <= cluster.gpusOfNode ? cluster.nodeBytesPerSecond : cluster.networkBytesPerSecond;
  const bytes = sentBytes(shared, passes);
  const sendSeconds = bytes / (link * cluster.linkEfficiency);
  const overlaps = training.sharding === 'full' && cluster.gpus > 1;
  const stepSeconds = overlaps ? Math.max(computeSeconds, sendSeconds) : computeSeconds + sendSeconds;
  return {
    memory,
    memoryBytes,
    fits: memoryBytes <= cluster.memoryBytes,
    sentBytes: bytes,
    computeSeconds,
    sendSeconds,
    stepSeconds,
    tokensPerSecond: tokens / stepSeconds,
  };
}

/** Weights that a token is multiplied with: matrices, the embedding only where it is the head. */
function productWeights(config: ModelConfig): number {
  const vectors = [...expectedWeights(config).values()].filter((shape) => shape.length === 1);
  const vectorElements = vectors.reduce((sum, [length = 0]) => sum + length, 0);
  const { all } = countsOf({ config, training: { adapter: { kind: 'none' } } });
  const embedding = config.vocabularySize * config.hiddenSize;
  return all - vectorElements - (config.tiedHead ? 0 : embedding);
}
