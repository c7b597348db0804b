/**
 * @file PairRM as ranker (Jiang et al., 2023, https://arxiv.org/abs/2306.02561; the paper's own ranker): every ordered pair
 * of candidates is compared beside the prompt, the full matrix becomes scores. What is shared, exactly: projections of
 * relative positions (once for the life of the model), tables of distances (once for sequences of one length), equal
 * texts (compared once), and the last block, computed for the three rows that the head reads. Source and candidates are
 * encoded jointly, so no hidden state of one pair serves another.
 *
 * One item is one stream, never more: its verdict is the same to the bit whatever was ranked before or with it.
 */

import { basename } from 'node:path';
import { RankerError } from '../../errors.ts';
import type { EncoderDtype } from '../../model/encoder/encoder-weights.ts';
import { modelFingerprint } from '../../model/fingerprint.ts';
import { loadTokenizer, type Tokenizer } from '../../text/tokenizer/tokenizer.ts';
import { scoresFromMatrix } from '../comparisons.ts';
import { type Ranker, type RankItem, type Ranking, rankingFromScores } from '../ranker.ts';
import { batchesOf } from './batches.ts';
import { modelRanker } from './model-ranker.ts';
import { type EncodedItem, encodeItem, MARKERS, type PairTokens, pairIds, pairTokens } from './pairrm-input.ts';
import { openPairRm, type PairRmModel } from './pairrm-model.ts';

export interface PairRmOptions {
  /** Type of the encoder's computation; scores are float32 from its last hidden states. @default 'float32' */
  dtype?: EncoderDtype;
  /** Where the model lies and computes. @default 'cpu' */
  device?: string | undefined;
  /** Most tokens computed at once, a longer pair alone: memory, not the result of an item. @default 8192 */
  batchTokens?: number;
}

/**
 * Opens PairRM from a model directory, in the original or the Hugging Face layout.
 *
 * @throws ModelError (another architecture, weights), TextError, RankerError RANKER_TOKENIZER (without PairRM's markers)
 */
export function openPairRmRanker(directory: string, options: PairRmOptions = {}): Ranker {
  const { dtype = 'float32', device, batchTokens = 8192 } = options;
  const model = openPairRm(directory, { dtype, device });
  const { tokenizer, tokens } = openTokens(directory, model);

  /** logit(left, right) of every ordered pair of distinct texts, zeros on the diagonal. */
  function compareAll({ source, candidates }: EncodedItem): number[][] {
    const matrix = candidates.map(() => candidates.map(() => 0));
    const pairs = candidates.flatMap((left, i) =>
      candidates.flatMap((right, j) => (i === j ? [] : [{ i, j, ...pairIds(tokens, { source, left, right }) }])),
    );
    for (const batch of batchesOf(pairs, batchTokens, ({ ids }) => ids.length)) {
      const logits = model.logits(batch);
      batch.forEach(({ i, j }, k) => {
        const row = matrix[i];
        if (row !== undefined) row[j] = logits[k] ?? Number.NaN;
      });
    }
    return matrix;
  }

  function rankOne({ promptId, prompt, candidates }: RankItem): Ranking {
    const distinct = [...new Set(candidates.map(({ text }) => text))];
    const encoded = encodeItem(tokenizer, tokens, { prompt, candidates: distinct, limits: model.limits });
    const matrix = compareAll(encoded);
    // Equal texts stand in the matrix as often as they compete: against each other they cancel.
    const places = candidates.map(({ text }) => distinct.indexOf(text));
    const scores = scoresFromMatrix(places.map((i) => places.map((j) => matrix[i]?.[j] ?? Number.NaN)));
    if (!scores.every(Number.isFinite)) {
      throw new RankerError(
        'RANKER_RESULT',
        `Cannot rank prompt ${promptId}: PairRM in ${directory} gave the scores ${scores.join(', ')}: set ranker.dtype to float32, or fetch its weights again`,
        { details: { promptId, directory } },
      );
    }
    const responses = places.filter((place) => encoded.cut.candidates[place]).length;
    const { prompt: promptCut } = encoded.cut;
    const cut = promptCut || responses > 0 ? { cut: { prompt: promptCut, responses } } : {};
    return { ...rankingFromScores(promptId, scores), ...cut };
  }

  return modelRanker({
    id: `pairrm:${basename(directory)}:${dtype}:sha256=${modelFingerprint(directory)}`,
    gives: 'comparisons',
    rankOne,
    dispose: () => model.dispose(),
  });
}

/** The tokenizer and its markers; without them the model is closed, and the error says what is missing. */
function openTokens(directory: string, model: PairRmModel): { tokenizer: Tokenizer; tokens: PairTokens } {
  const refuse = (problem: string): RankerError =>
    new RankerError(
      'RANKER_TOKENIZER',
      `Cannot use ${directory} as PairRM: its tokenizer.json ${problem}: fetch the tokenizer of llm-blender/PairRM-hf`,
      { details: { directory } },
    );
  try {
    const tokenizer = loadTokenizer(directory);
    const tokens = pairTokens(tokenizer);
    const markers = Object.values(MARKERS).join(', ');
    if (tokens === null) throw refuse(`lacks one of ${markers}, or adds no start and end token`);
    if (tokenizer.vocabularySize > model.vocabularySize)
      throw refuse(`has ${tokenizer.vocabularySize} tokens, and the model ${model.vocabularySize}`);
    return { tokenizer, tokens };
  } catch (error) {
    model.dispose();
    throw error;
  }
}
