/** @file Responses of an open model to prompts, in the order of the prompts: what `generate()` and `selm generate` share. */
import { randomKey } from '../random.ts';
import { checkPrompt, type Prompt, renderPrompt } from '../text/rendering.ts';
import type { Tokenizer } from '../text/tokenizer/tokenizer.ts';
import { type GeneratedResponse, type GenerationRequest, generate } from './generate.ts';
import type { Sampler } from './sampler.ts';

/** Sequences generated at once: memory and speed, never the result. */
const BATCH_SIZE = 64;

/** How to sample. */
export interface SamplingOptions {
  /** Responses a prompt. @default 1 */
  samples?: number;
  /** 0 is greedy. @default 0.7 */
  temperature?: number;
  /** Sample among the likeliest tokens that reach this probability together. @default 1, which is off */
  topP?: number;
  /** Sample among the k likeliest tokens. @default 0, which is off */
  topK?: number;
  /** Longer responses are cut. @default 256 */
  maxNewTokens?: number;
  /** The same seed gives the same responses. @default 0 */
  seed?: number;
  /** Aborting it ends the generation with an InterruptedError. */
  signal?: AbortSignal | undefined;
}

/** One response of a model. */
export interface Response {
  promptId: string;
  prompt: Prompt;
  /** From 0, of the prompt's samples. */
  sampleIndex: number;
  text: string;
  tokenIds: number[];
  /** `stop`: the model ended it; `length`: it was cut. */
  finish: 'stop' | 'length';
  /** Summed log-probability under the model, in nats. */
  logProb: number;
}

/** A prompt under the name that its random numbers are drawn by. */
export interface NamedPrompt {
  promptId: string;
  prompt: Prompt;
}

/** Responses as they are ready, each after those of the prompts and samples before it. */
export async function* respondInOrder(
  { sampler, tokenizer }: { sampler: Sampler; tokenizer: Tokenizer },
  prompts: readonly NamedPrompt[],
  options: SamplingOptions,
): AsyncGenerator<Response> {
  const { samples = 1, temperature = 0.7, topP = 1, topK = 0, maxNewTokens = 256, seed = 0, signal } = options;
  for (const { prompt } of prompts) checkPrompt(tokenizer, prompt);
  const requests = prompts.map(({ promptId, prompt }): GenerationRequest => {
    const keyOf = (sampleIndex: number) => randomKey(seed, 'generate', promptId, sampleIndex);
    return {
      promptId,
      promptIds: renderPrompt(tokenizer, prompt, 'clean'),
      samples: Array.from({ length: samples }, (_, sampleIndex) => ({ sampleIndex, key: keyOf(sampleIndex) })),
    };
  });
  const settings = {
    ...{ temperature, topP, topK, maxNewTokens, signal },
    stopIds: tokenizer.stopIds,
    batchSize: BATCH_SIZE,
  };
  const order = prompts.flatMap((prompt) =>
    Array.from({ length: samples }, (_, sampleIndex) => ({ prompt, sampleIndex })),
  );
  const nameOf = (promptId: string, sampleIndex: number): string => `${sampleIndex}/${promptId}`;
  const waiting = new Map<string, GeneratedResponse>();
  let next = 0;
  for await (const response of generate(sampler, requests, settings)) {
    waiting.set(nameOf(response.promptId, response.sampleIndex), response);
    for (let place = order[next]; place !== undefined; place = order[next]) {
      const name = nameOf(place.prompt.promptId, place.sampleIndex);
      const ready = waiting.get(name);
      if (ready === undefined) break;
      waiting.delete(name);
      next += 1;
      const { tokenIds, finish, logProb } = ready;
      yield {
        ...place.prompt,
        sampleIndex: place.sampleIndex,
        text: tokenizer.decode(tokenIds),
        tokenIds,
        finish,
        logProb,
      };
    }
  }
}
