/** @file All ranks sample responses to prompts: the work of every stage that samples. */
import { baseDirectory } from '../../model/adapter/adapter.ts';
import { withModel } from '../../model/load.ts';
import type { SharedWork } from '../../ranks/team.ts';
import type { Recipe } from '../../recipe/schema.ts';
import {
  type GeneratedResponse,
  type GenerateOptions,
  type GenerationRequest,
  generateByPass,
} from '../../sample/generate.ts';
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

/**
 * Sampling as work on prompts, given out pass by pass; a response has the same bits whichever rank samples it. `onNotice` hears what makes
 * this rank's part slower than it could be.
 */
export function samplingWork(
  tokenizerOf: (directory: string) => Tokenizer,
  onNotice?: GenerateOptions['onNotice'],
): SharedWork<SamplingSetting, GenerationRequest, readonly GeneratedResponse[]> {
  return {
    name: 'sample',
    async *run({ modelDirectory, tokenizerDirectory, sampling, device, ...length }, requests, { group, signal }) {
      if (requests.length === 0) return;
      const tokenizer = tokenizerOf(tokenizerDirectory);
      const sampler = withModel(modelDirectory, (model) => openSampler(model, sampling), { device });
      try {
        const options = generateOptions({ recipe: { sampling }, tokenizer, signal }, length);
        // Posted to rank 0 one by one: a post has a bound, and a pass may end many long responses.
        for await (const responses of generateByPass(sampler, requests, { ...options, onNotice }))
          yield* group.rank === 0 ? [responses] : responses.map((each) => [each]);
      } finally {
        sampler.dispose();
      }
    },
  };
}

/** Who samples together, and who hears of it. */
type SamplingContext = Pick<IterationContext, 'recipe' | 'tokenizer' | 'team' | 'signal'> &
  Partial<Pick<IterationContext, 'announce'>>;

/**
 * Samples all requests; responses come as they finish, those of one pass together. What makes sampling slow is a warning of the run where
 * there is one, else of the process; ranks that follow say it on their own stderr.
 */
export function sampleTogether(
  { recipe, tokenizer, team, signal, announce }: SamplingContext,
  requests: readonly GenerationRequest[],
  {
    modelDirectory,
    temperature = recipe.sampling.temperature,
    maxNewTokens = recipe.sampling.maxNewTokens,
  }: Pick<SamplingSetting, 'modelDirectory'> & Partial<Pick<SamplingSetting, 'temperature' | 'maxNewTokens'>>,
): AsyncIterable<readonly GeneratedResponse[]> {
  const { sampling, device } = recipe;
  const tokenizerDirectory = baseDirectory(recipe.model);
  const setting = { modelDirectory, tokenizerDirectory, sampling, device, temperature, maxNewTokens };
  return team.share(
    samplingWork(() => tokenizer, announce && ((text) => announce({ kind: 'warning', text }))),
    setting,
    requests,
    signal,
  );
}
