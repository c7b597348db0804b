/** @file All ranks sample responses to prompts: the work of every stage that samples. */
import { baseDirectory } from '../../model/adapter/adapter.ts';
import { withModel } from '../../model/load.ts';
import type { SharedWork } from '../../ranks/team.ts';
import type { Recipe } from '../../recipe/schema.ts';
import { type GeneratedResponse, type GenerationRequest, generate } from '../../sample/generate.ts';
import { openSampler } from '../../sample/sampler.ts';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.ts';
import { generateOptions } from './responses.ts';
import type { IterationContext } from './stage.ts';

/** Which model answers, and how. */
export interface SamplingSetting extends Pick<Recipe, 'sampling' | 'device'> {
  modelDirectory: string;
  /** Of its tokenizer. */
  tokenizerDirectory: string;
  temperature: number;
  maxNewTokens: number;
}

/** Sampling as work on prompts; a response has the same bits whichever rank samples it. */
export function samplingWork(
  tokenizerOf: (directory: string) => Tokenizer,
): SharedWork<SamplingSetting, GenerationRequest, GeneratedResponse> {
  return {
    name: 'sample',
    async *run({ modelDirectory, tokenizerDirectory, sampling, device, ...length }, requests, { signal }) {
      if (requests.length === 0) return;
      const tokenizer = tokenizerOf(tokenizerDirectory);
      const sampler = withModel(modelDirectory, (model) => openSampler(model, sampling), { device });
      try {
        yield* generate(sampler, requests, generateOptions({ recipe: { sampling }, tokenizer, signal }, length));
      } finally {
        sampler.dispose();
      }
    },
  };
}

/** Samples all requests, in the order in which responses finish. */
export function sampleTogether(
  { recipe, tokenizer, team, signal }: Pick<IterationContext, 'recipe' | 'tokenizer' | 'team' | 'signal'>,
  requests: readonly GenerationRequest[],
  {
    modelDirectory,
    temperature = recipe.sampling.temperature,
    maxNewTokens = recipe.sampling.maxNewTokens,
  }: Pick<SamplingSetting, 'modelDirectory'> & Partial<Pick<SamplingSetting, 'temperature' | 'maxNewTokens'>>,
): AsyncIterable<GeneratedResponse> {
  const { sampling, device } = recipe;
  const tokenizerDirectory = baseDirectory(recipe.model);
  const setting = { modelDirectory, tokenizerDirectory, sampling, device, temperature, maxNewTokens };
  return team.share(
    samplingWork(() => tokenizer),
    setting,
    requests,
    signal,
  );
}
