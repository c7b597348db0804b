/** @file `loadModel()` and `generate()`: a model kept open, or opened for one use. */
import { sha256 } from '../files/hash.ts';
import { baseDirectory } from '../model/adapter/adapter.ts';
import { withModel } from '../model/load.ts';
import { type NamedPrompt, type Response, respondInOrder, type SamplingOptions } from '../sample/respond.ts';
import { openSampler, type Sampler } from '../sample/sampler.ts';
import { promptReading, readPrompt } from '../text/reading.ts';
import type { Prompt } from '../text/rendering.ts';
import { loadTokenizer, type Tokenizer } from '../text/tokenizer/tokenizer.ts';
import { chooseDevice } from '../torch/device.ts';

/** A model in memory, ready to answer. Dispose it, or let `using` do so. */
export interface LoadedModel {
  readonly directory: string;
  /** config.json's model_type. */
  readonly family: string;
  /** Tokens of a prompt and its response together. */
  readonly maxPositions: number;
  readonly vocabularySize: number;
  /** Ids of a text, without start or end token. */
  encode(text: string): number[];
  /** Text of ids, special tokens left out. */
  decode(ids: readonly number[]): string;
  /** Responses in the order of the prompts; the same ones whatever else is asked for. */
  generate(prompts: Iterable<string | Prompt>, options?: SamplingOptions): AsyncGenerator<Response>;
  /** Frees its memory and ends its tokenizer's process. A second call does nothing. */
  dispose(): void;
  [Symbol.dispose](): void;
}

/** How a model is opened. */
export interface LoadOptions {
  /** Where it computes: `cpu`, `cuda`, `cuda:1` ..., or `auto`: a GPU that works, else the CPU. @default 'cpu' */
  device?: string;
}

/**
 * Opens a model folder in Hugging Face layout, or an adapter's in PEFT's. Throws ModelError or TextError with the file and
 * the field for what cannot be run, and EngineError for a device that cannot compute.
 */
export function loadModel(directory: string, { device: wanted = 'cpu' }: LoadOptions = {}): LoadedModel {
  const { device } = chooseDevice({ device: wanted });
  const tokenizer = loadTokenizer(baseDirectory(directory));
  let sampler: Sampler;
  try {
    sampler = withModel(directory, openSampler, { device });
  } catch (error) {
    tokenizer.close();
    throw error;
  }
  const { family, maxPositions, vocabularySize } = sampler.config;
  const dispose = (): void => {
    sampler.dispose();
    tokenizer.close();
  };
  return {
    ...{ directory, family, maxPositions, vocabularySize },
    encode: (text) => tokenizer.encode(text),
    decode: (ids) => tokenizer.decode(ids),
    generate: (prompts, options = {}) =>
      respondInOrder({ sampler, tokenizer }, namePrompts(prompts, tokenizer), options),
    dispose,
    [Symbol.dispose]: dispose,
  };
}

/** Opens a model, gives out its responses in the order of the prompts, and frees it, also when the loop is left early. */
export async function* generate(
  model: string,
  prompts: Iterable<string | Prompt>,
  { device, ...options }: SamplingOptions & LoadOptions = {},
): AsyncGenerator<Response> {
  using loaded = loadModel(model, device === undefined ? {} : { device });
  yield* loaded.generate(prompts, options);
}

/** A text is a user's message where the model has a chat template, else a text to go on with. Equal prompts are one. */
function namePrompts(prompts: Iterable<string | Prompt>, tokenizer: Tokenizer): NamedPrompt[] {
  const named = new Map<string, NamedPrompt>();
  const reading = promptReading(null, tokenizer);
  for (const each of prompts) {
    const prompt = typeof each === 'string' ? readPrompt({ kind: 'text', text: each }, reading) : each;
    const promptId = sha256(typeof each === 'string' ? each : JSON.stringify(each));
    named.set(promptId, { promptId, prompt });
  }
  return [...named.values()];
}
