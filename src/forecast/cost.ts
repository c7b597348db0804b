/**
 * @file What a recipe will cost: tokens, memory and time, from the model's shape, the lengths of prompts and responses,
 * and this machine's measured rates. Estimates: the sums of what is known to be large, nothing fitted. Pure.
 */

import { targetShapes } from '../model/adapter/lora.ts';
import type { ModelConfig } from '../model/config.ts';
import { EMBEDDING, expectedWeights, headName } from '../model/weights.ts';
import type { Recipe } from '../recipe/schema.ts';
import { activationBytes, chooseActivations } from '../train/activations.ts';
import type { IterationPlan } from './plan.ts';

/** Mean tokens of a prompt and of a response; `atMost` where they are the recipe's limits and not measured. */
export interface TokenFacts {
  prompt: number;
  response: number;
  /** Of a response of the policy, as it is sampled: what training cuts is sampled all the same. */
  sampled: number;
  atMost: boolean;
}

/** What this machine does: products in the training's type and in fp32, and memory read and written. */
export interface MachineRates {
  trainFlops: number;
  sampleFlops: number;
  bytesPerSecond: number;
}

export interface IterationCost {
  iteration: number;
  sampledTokens: number;
  /** Tokens through the model in training, over all steps: prompts once, what is shared once. */
  trainedTokens: number;
  sampleSeconds: number;
  referenceSeconds: number;
  trainSeconds: number;
}

/** A part of the memory that a stage needs at its highest, in bytes. */
export interface MemoryPart {
  what: string;
  bytes: number;
}

export interface MemoryForecast {
  training: MemoryPart[];
  sampling: MemoryPart[];
}

const FLOAT32 = 4;
/** The head's chunk of logits, and its gradient written over a copy (src/score/head.ts). */
const LOGITS_BYTES = 2 * 96 * 2 ** 20;

/** Numbers of weights, from the shapes that the model must have. */
export function parameterCount(config: ModelConfig): number {
  let count = 0;
  for (const shape of expectedWeights(config).values()) count += shape.reduce((product, length) => product * length, 1);
  return count;
}

/** Weights that training changes: all, or an adapter's. */
export function trainedCount(config: ModelConfig, { adapter }: Recipe['training']): number {
  if (adapter.kind === 'none') return parameterCount(config);
  let count = 0;
  for (const [rows, columns] of targetShapes(config, adapter.targets).values())
    count += adapter.rank * (rows + columns);
  return count;
}

/** Tokens, and seconds at the given rates, of each iteration. */
export function costOf(
  recipe: Recipe,
  facts: { config: ModelConfig; tokens: TokenFacts; rates: MachineRates },
  plans: readonly IterationPlan[],
): IterationCost[] {
  const { config, tokens, rates } = facts;
  const explores = recipe.objective.exploration.kind !== 'none';
  const recomputes = chooseActivations(recipe.training, config) === 'recompute';
  const headFlops = 2 * config.vocabularySize * config.hiddenSize;
  const blockFlops = 2 * blockParameters(config);
  const attentionFlops = 4 * config.layers * config.heads * config.headSize; // a token, for each token it attends to
  const weightBytes = parameterCount(config) * (recipe.sampling.dtype === 'float32' ? FLOAT32 : 2);
  return plans.map(({ iteration, responses, candidates, pairs, schedule }) => {
    // y is neither chosen nor rejected in (n - 2) / n of the prompts if all orders are alike; then it is a third sequence.
    const third = explores && iteration > 0 && candidates > 2 ? (candidates - 2) / candidates : 0;
    const scored = tokens.response * (2 + third);
    const perPair = tokens.prompt + scored;
    const used = Math.min(pairs * recipe.training.epochs, schedule.totalSteps * recipe.training.batchSize);
    const context = (tokens.prompt + tokens.response) / 2;
    const forward = perPair * (blockFlops + attentionFlops * context) + scored * headFlops;
    const sampledTokens = responses * tokens.sampled;
    const decodeSteps = (responses / recipe.sampling.batchSize) * tokens.sampled;
    // One prefill of a prompt for all its samples; the samples cost a forward pass a token, or reading the weights.
    const prompts = responses / Math.max(1, recipe.sampling.samples + recipe.sampling.referenceSamples);
    const sampleFlops =
      (prompts * tokens.prompt + sampledTokens) * (blockFlops + attentionFlops * context) + sampledTokens * headFlops;
    const readSeconds = (decodeSteps * weightBytes) / rates.bytesPerSecond;
    return {
      iteration,
      sampledTokens,
      trainedTokens: used * perPair,
      sampleSeconds: Math.max(sampleFlops / rates.sampleFlops, readSeconds),
      referenceSeconds: (pairs * forward) / rates.trainFlops,
      trainSeconds: (used * forward * (recomputes ? 4 : 3)) / rates.trainFlops,
    };
  });
}

/** The parts of the memory at its highest, in training and in sampling (they do not run at once). */
export function memoryOf(recipe: Recipe, config: ModelConfig, tokens: TokenFacts): MemoryForecast {
  const { training, sampling } = recipe;
  const all = parameterCount(config);
  const trained = trainedCount(config, training);
  const bytesPerElement = training.dtype === 'float32' ? FLOAT32 : 2;
  const tokensAtOnce = training.microBatchTokens;
  const inputs = tokensAtOnce * config.hiddenSize * config.layers * bytesPerElement;
  const kept = activationBytes(config, { tokens: tokensAtOnce, bytesPerElement });
  const activations = chooseActivations(recipe.training, config) === 'keep' ? kept : inputs + kept / config.layers;
  const isCopied = training.adapter.kind === 'lora' || training.dtype === 'bfloat16';
  const cached = sampling.batchSize * (tokens.prompt + sampling.maxNewTokens);
  return {
    training: [
      ...(isCopied ? [{ what: `weights in ${training.dtype}`, bytes: all * bytesPerElement }] : []),
      { what: 'master weights, fp32', bytes: trained * FLOAT32 },
      { what: 'gradients, fp32', bytes: trained * FLOAT32 },
      { what: "AdamW's moments, fp32", bytes: 2 * trained * FLOAT32 },
      { what: `activations of ${tokensAtOnce} tokens`, bytes: activations },
      { what: 'logits', bytes: LOGITS_BYTES },
    ],
    sampling: [
      { what: 'weights, at most', bytes: all * (sampling.dtype === 'float32' ? FLOAT32 : 2) },
      {
        what: `keys and values of ${sampling.batchSize} responses, fp32`,
        bytes: 2 * cached * config.layers * config.keyValueHeads * config.headSize * FLOAT32,
      },
    ],
  };
}

/** Weights of the products that every token goes through: the blocks, without embedding and head. */
function blockParameters(config: ModelConfig): number {
  let count = 0;
  for (const [name, shape] of expectedWeights(config)) {
    if (shape.length === 2 && name !== EMBEDDING && name !== headName(config))
      count += (shape[0] ?? 0) * (shape[1] ?? 0);
  }
  return count;
}
