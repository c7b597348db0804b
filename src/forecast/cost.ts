/**
 * @file How much memory a recipe will take, and how large its model is, from the model's shape and the lengths of
 * prompts and responses. Estimates: sums of what is known to be large, nothing is fitted. Pure.
 */

import type { ModelConfig } from '../model/config.ts';
import { expectedWeights } from '../model/weights.ts';
import type { Recipe } from '../recipe/schema.ts';
import { prefillTokens } from '../sample/generate.ts';
import { PAGE_TOKENS, pagesFor } from '../sample/pages.ts';
import { rowsPerChunk } from '../score/head.ts';
import { activationBytes, chooseActivations, roomOn } from '../train/activations.ts';
import { countsOf, stateBytes } from './shares.ts';

/** Mean tokens of a prompt and of a response; `atMost` where they are the recipe's limits and not measured. */
export interface TokenFacts {
  prompt: number;
  /** Of the longest prompt: the sampler's caches have room for it in every slot. */
  longestPrompt: number;
  response: number;
  /** Of a response of the policy, as it is sampled: what training cuts is sampled all the same. */
  sampled: number;
  atMost: boolean;
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
/** Most bytes of a message to the other ranks (native/process_group.cc). */
const MESSAGE_BYTES = 32 * 2 ** 20;

/** Numbers of weights, from the shapes that the model must have. */
export function parameterCount(config: ModelConfig): number {
  let count = 0;
  for (const shape of expectedWeights(config).values()) count += shape.reduce((product, length) => product * length, 1);
  return count;
}

/** What a forecast of the memory is made of. */
interface MemoryFacts {
  config: ModelConfig;
  tokens: TokenFacts;
  /** @default 1 */
  ranks?: number | undefined;
  /** Memory of the card that the recipe names; null on the CPU, and where no card is here to ask. @default null */
  cardBytes?: number | null;
}

/** The parts of the memory at its highest, in training and in sampling (they do not run at once). */
export function memoryOf(recipe: Recipe, { config, tokens, ranks = 1, cardBytes = null }: MemoryFacts): MemoryForecast {
  const { training, sampling } = recipe;
  const { states } = training;
  const all = parameterCount(config);
  const state = stateBytes({ config, training, ranks });
  const bytesPerElement = training.dtype === 'float32' ? FLOAT32 : 2;
  const tokensAtOnce = training.microBatchTokens;
  const inputs = tokensAtOnce * config.hiddenSize * config.layers * bytesPerElement;
  const kept = activationBytes(config, { tokens: tokensAtOnce, bytesPerElement });
  const device = cardBytes === null ? 'cpu' : 'cuda';
  const resident = Object.values(state).reduce((sum, bytes) => sum + bytes, 0);
  const room = roomOn(device, () => Math.max(0, (cardBytes ?? 0) - resident));
  const recomputes =
    (ranks > 1 && training.sharding === 'full') || chooseActivations(training, config, room) === 'recompute';
  const rows = Math.min(
    tokensAtOnce,
    rowsPerChunk(config, training.dtype, device, () => cardBytes),
  );
  const activations = recomputes ? inputs + kept / config.layers : kept;
  const parts: [string, number][] = [
    [`weights in ${training.dtype}`, state.weights],
    [`master weights, ${states}`, state.masters],
    ['blocks while they are whole', state.gathered],
    [`gradients, ${ranks > 1 && training.sharding !== 'none' ? 'float32' : states}`, state.gradients],
    [`AdamW's moments, ${states}`, state.moments],
  ];
  // Samples of a prompt share its keys and values. At most: the longest prompts may come together.
  const prompts = Math.ceil(sampling.batchSize / sampling.samples);
  const pages = prompts * pagesFor(tokens.longestPrompt) + sampling.batchSize * pagesFor(sampling.maxNewTokens);
  const cached = pages * PAGE_TOKENS;
  const prefilled = Math.min(prefillTokens(device), prompts * tokens.longestPrompt);
  const bytesInSampling = sampling.dtype === 'float32' ? FLOAT32 : 2;
  return {
    training: [
      ...parts.flatMap(([what, bytes]) => (bytes === 0 ? [] : [{ what, bytes }])),
      { what: `activations of ${tokensAtOnce} tokens`, bytes: activations },
      // A chunk, and its gradient written over a copy.
      { what: 'logits', bytes: 2 * rows * config.vocabularySize * bytesPerElement },
      ...(ranks === 1 ? [] : [{ what: 'messages to other ranks', bytes: messageBytes(config, training) }]),
    ],
    sampling: [
      { what: 'weights, at most', bytes: all * bytesInSampling },
      {
        what: `keys and values of ${sampling.batchSize} responses, ${sampling.dtype}`,
        bytes: 2 * cached * config.layers * config.keyValueHeads * config.headSize * bytesInSampling,
      },
      {
        what: `activations of ${prefilled} prompt tokens`,
        bytes: activationBytes(config, { tokens: prefilled, bytesPerElement: bytesInSampling }) / config.layers,
      },
    ],
  };
}

/** What goes to the other ranks at once, and what comes: small gradients together, or a flat in parts. */
function messageBytes(config: ModelConfig, training: Recipe['training']): number {
  if (training.sharding === 'none') return MESSAGE_BYTES;
  const { block, ends, trained } = countsOf({ config, training });
  const bytesPerElement = training.dtype === 'float32' ? FLOAT32 : 2;
  const isAdapter = training.adapter.kind === 'lora';
  // Below an adapter only weights are gathered; beside it only its factors' gradients cross.
  const largest = isAdapter && training.sharding === 'optimiser' ? trained : Math.max(block, ends);
  const width = isAdapter && training.sharding === 'full' ? bytesPerElement : FLOAT32;
  return 2 * Math.min(MESSAGE_BYTES, width * largest);
}
