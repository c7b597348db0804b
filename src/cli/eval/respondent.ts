/** @file A model folder as benchmarks ask it. */
import { generateAnswers, scoreChoices } from '../../evaluate/benchmarks/model.ts';
import type { Respondent } from '../../evaluate/benchmarks/run.ts';
import { modelSha256 } from '../../loop/model-hash.ts';
import { baseDirectory } from '../../model/adapter/adapter.ts';
import { withModel } from '../../model/load.ts';
import { openSampler, type Sampler } from '../../sample/sampler.ts';
import { type ComputeDtype, openPolicy, type Policy } from '../../score/policy.ts';
import { loadTokenizer } from '../../text/tokenizer/tokenizer.ts';

export interface RespondentOptions {
  /** What likelihoods are computed in; answers are always generated in float32. */
  dtype: ComputeDtype;
  /** Tokens scored at once. */
  batchTokens: number;
  /** Answers generated at once. */
  batchSize: number;
}

/**
 * Opens a model folder. Weights are laid out for scoring or for sampling when the first question of that kind comes. Throws
 * ModelError or TextError.
 */
export async function openRespondent(
  directory: string,
  { dtype, batchTokens, batchSize }: RespondentOptions,
): Promise<Respondent & { dispose(): void }> {
  const tokenizer = loadTokenizer(baseDirectory(directory));
  let policy: Policy | null = null;
  let sampler: Sampler | null = null;
  return {
    identity: `${await modelSha256(directory)} ${tokenizer.sha256} ${dtype}`,
    scoreChoices(requests) {
      policy ??= withModel(directory, (model) => openPolicy(model, { dtype, purpose: 'score' }));
      return scoreChoices({ policy, tokenizer, batchTokens }, requests);
    },
    generateAnswers(requests, settings) {
      sampler ??= withModel(directory, openSampler);
      return generateAnswers({ sampler, tokenizer, batchSize }, requests, settings);
    },
    dispose() {
      policy?.dispose();
      sampler?.dispose();
      tokenizer.close();
    },
  };
}
