/**
 * @file The reward model that the loop trains for itself, as ranker, and what it reads: prompt and response under the
 * `clean` rendering of the policy that it began from, cut to the recipe's lengths, one end token last.
 */

import { openDecoderClassifier } from '../../model/classifier/decoder-classifier.ts';
import { modelFingerprint } from '../../model/fingerprint.ts';
import { cleanPlaces, cleanSequences } from '../../text/clean.ts';
import { commonLength, type Prompt } from '../../text/conversation.ts';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.ts';
import { type TruncationLimits, truncate } from '../../text/truncation.ts';
import { type Ranker, type RankItem, type Ranking, rankingFromScores } from '../ranker.ts';
import { modelRanker } from './model-ranker.ts';

/** A prompt and its responses as ids, and what did not fit. */
export interface LearnedRewardTokens {
  promptIds: number[];
  responses: number[][];
  cut: { prompt: boolean; responses: number };
}

/** Ids of a prompt and of responses to it; each response has at least one. */
export function learnedRewardTokens(
  tokenizer: Tokenizer,
  input: { prompt: Prompt; responses: readonly string[] },
  limits: TruncationLimits,
): LearnedRewardTokens {
  const places = cleanPlaces(tokenizer, { prompt: input.prompt, responses: input.responses.map((text) => ({ text })) });
  const [wholes = []] = cleanSequences(tokenizer, [places]);
  const cuts = wholes.map(({ promptIds, responseIds }) => {
    const cut = truncate({ promptIds, responses: [responseIds] }, { ...limits, bosId: tokenizer.bosId });
    return { promptIds: cut.promptIds, responseIds: cut.responses[0] ?? [] };
  });
  // The reward is read behind the last token: what of their prompts the responses do not share is read with each.
  const [first] = cuts;
  const shared = Math.min(...cuts.map(({ promptIds }) => commonLength(promptIds, first?.promptIds ?? [])));
  return {
    promptIds: first?.promptIds.slice(0, shared) ?? [],
    responses: cuts.map(({ promptIds, responseIds }) => [...promptIds.slice(shared), ...responseIds]),
    cut: {
      prompt: cuts.some(({ promptIds }, i) => promptIds.length < (wholes[i]?.promptIds.length ?? 0)),
      responses: cuts.filter(({ responseIds }, i) => responseIds.length < (wholes[i]?.responseIds.length ?? 0)).length,
    },
  };
}

/** Name of its work on all ranks. */
export const RANK_BY_LEARNED_REWARD = 'rank by the learned reward';

/** By what another rank opens it. */
export interface LearnedRewardPlace {
  directory: string;
  /** Of the tokenizer of the policy that it began from. */
  tokenizerDirectory: string;
  limits: TruncationLimits;
  device: string;
}

/** Opens a reward model that the loop saved, with the tokenizer of the policy that it began from. ModelError. */
export function openLearnedReward(
  directory: string,
  { tokenizer, limits, device }: { tokenizer: Tokenizer; limits: TruncationLimits; device: string },
): Ranker {
  const model = openDecoderClassifier(directory, { dtype: 'float32', device });

  function rankOne({ promptId, prompt, candidates }: RankItem): Ranking {
    const distinct = [...new Set(candidates.map(({ text }) => text))];
    const { promptIds, responses, cut } = learnedRewardTokens(tokenizer, { prompt, responses: distinct }, limits);
    const rewards = model.scores(responses.map((ids) => [...promptIds, ...ids]));
    const scores = candidates.map(({ text }) => rewards[distinct.indexOf(text)] ?? Number.NaN);
    return { ...rankingFromScores(promptId, scores), ...(cut.prompt || cut.responses > 0 ? { cut } : {}) };
  }

  return modelRanker({
    id: `learned-reward:sha256=${modelFingerprint(directory)}`,
    gives: 'scores',
    rankOne,
    dispose: () => model.dispose(),
  });
}
