/** @file A model folder as benchmarks ask it. */
import { baseDirectory } from '../../model/adapter/adapter.ts';
import { modelFingerprint, readWeights } from '../../model/fingerprint.ts';
import { withModel } from '../../model/load.ts';
import { openSampler, type Sampler } from '../../sample/sampler.ts';
import type { ComputeDtype } from '../../score/policy.ts';
import { openScorer, type Scorer } from '../../score/scorer.ts';
import { loadTokenizer } from '../../text/tokenizer/tokenizer.ts';
import { generateAnswers } from './answering.ts';
import type { Respondent } from './run.ts';
import { scoreChoices } from './scoring.ts';

export interface RespondentOptions {
  /** What likelihoods are computed in; answers are always generated in float32. */
  dtype: ComputeDtype;
  /** Tokens scored at once. */
  batchTokens: number;
  /** Answers generated at once. */
  batchSize: number;
  /** Where the model computes. @default 'cpu' */
  device?: string;
}

/** A respondent that holds weights. */
export type OpenRespondent = Respondent & { dispose(): void };

/**
 * Opens a model folder. Weights are laid out for scoring or for sampling when the first question of that kind comes. Throws
 * ModelError or TextError.
 */
export async function openRespondent(
  directory: string,
  { dtype, batchTokens, batchSize, device = 'cpu' }: RespondentOptions,
): Promise<OpenRespondent> {
  await readWeights(directory);
  const tokenizer = loadTokenizer(baseDirectory(directory));
  let scorer: Scorer | null = null;
  let sampler: Sampler | null = null;
  return {
    identity: `${modelFingerprint(directory)} ${dtype}`,
    scoreChoices(requests) {
      scorer ??= withModel(directory, (model) => openScorer(model, { dtype }), { device });
      return scoreChoices({ scorer, tokenizer, batchTokens }, requests);
    },
    generateAnswers(requests, settings) {
      sampler ??= withModel(directory, openSampler, { device });
      return generateAnswers({ sampler, tokenizer, batchSize }, requests, settings);
    },
    dispose() {
      scorer?.dispose();
      sampler?.dispose();
      tokenizer.close();
    },
  };
}
