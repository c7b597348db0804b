/**
 * @file A reward model as ranker: a sequence-classification head on a decoder, DeBERTa or RoBERTa, from a model directory
 * in Hugging Face layout. Scores mean the same for every prompt. A decoder computes an item's prompt once.
 *
 * One item is one stream (several where it exceeds batchTokens), so its scores are the same to the bit whatever was
 * ranked before or with it.
 */

import { basename } from 'node:path';
import { RankerError } from '../../errors.ts';
import { openClassifier } from '../../model/classifier/classifier.ts';
import type { Classifier } from '../../model/classifier/score-head.ts';
import type { EncoderDtype } from '../../model/encoder/encoder-weights.ts';
import { modelFingerprint } from '../../model/fingerprint.ts';
import { loadTokenizer, type Tokenizer } from '../../text/tokenizer/tokenizer.ts';
import { type Ranker, type RankItem, type Ranking, rankingFromScores } from '../ranker.ts';
import { batchesOf } from './batches.ts';
import { modelRanker } from './model-ranker.ts';
import { rewardSequences } from './reward-input.ts';

export interface RewardModelOptions {
  /** Type of the computation; the head's is float32. @default 'float32' */
  dtype?: EncoderDtype;
  /** Where the model lies and computes. @default 'cpu' */
  device?: string | undefined;
  /** Most tokens computed at once, a longer sequence alone: memory, not the result of an item. @default 8192 */
  batchTokens?: number;
  /** Tokens of a sequence; longer ones are cut. @default null: the model's limit */
  maxTokens?: number | null;
}

/**
 * Opens a reward model from its directory; its own tokenizer and chat template are used.
 *
 * @throws ModelError (another architecture, no head or one of several labels), TextError, RankerError
 */
export function openRewardModel(directory: string, options: RewardModelOptions = {}): Ranker {
  const { dtype = 'float32', device, batchTokens = 8192 } = options;
  const model = openClassifier(directory, { dtype, device });
  const tokenizer = openTokenizer(directory, model);
  const maxTokens = Math.min(options.maxTokens ?? model.maxTokens, model.maxTokens);

  function rankOne({ promptId, prompt, candidates }: RankItem): Ranking {
    const distinct = [...new Set(candidates.map(({ text }) => text))];
    const { sequences, cut } = rewardSequences(tokenizer, model.family, { prompt, responses: distinct, maxTokens });
    if (sequences.some((ids) => ids.length === 0)) {
      throw new RankerError('RANKER_RESULT', `Cannot rank prompt ${promptId}: prompt and response have no tokens`);
    }
    const values = batchesOf(sequences, batchTokens, (ids) => ids.length).flatMap((batch) => model.scores(batch));
    const scores = candidates.map(({ text }) => values[distinct.indexOf(text)] ?? Number.NaN);
    if (!scores.every(Number.isFinite)) {
      throw new RankerError(
        'RANKER_RESULT',
        `Cannot rank prompt ${promptId}: the reward model in ${directory} gave the scores ${scores.join(', ')}: set ranker.dtype to float32, or fetch its weights again`,
        { details: { promptId, directory } },
      );
    }
    const cutAny = cut.prompt || cut.responses > 0;
    return { ...rankingFromScores(promptId, scores), ...(cutAny ? { cut } : {}) };
  }

  return modelRanker({
    id: `reward-model:${basename(directory)}:${dtype}:${maxTokens}:sha256=${modelFingerprint(directory)}`,
    gives: 'scores',
    rankOne,
    dispose: () => model.dispose(),
  });
}

/** The tokenizer beside the weights; where it cannot be loaded the model is closed. */
function openTokenizer(directory: string, model: Classifier): Tokenizer {
  try {
    return loadTokenizer(directory);
  } catch (error) {
    model.dispose();
    throw error;
  }
}
