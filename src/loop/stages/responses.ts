/** @file A sampled sequence as a response: where a stop text ends it, its text, and the ids that it keeps. */

import type { Recipe } from '../../recipe/schema.ts';
import type { GeneratedResponse, GenerateOptions } from '../../sample/generate.ts';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.ts';
import type { IterationContext } from './stage.ts';

/** Tokens at the end of a response in which a stop text is looked for; longer than any sensible one. */
const STOP_WINDOW = 32;

/** How a stage samples: as the recipe's `sampling` says, hotter or longer where the stage has settings of its own. */
export function generateOptions(
  { recipe, tokenizer, signal }: Pick<IterationContext, 'tokenizer' | 'signal'> & { recipe: Pick<Recipe, 'sampling'> },
  { temperature, maxNewTokens }: { temperature: number; maxNewTokens: number } = recipe.sampling,
): GenerateOptions {
  const { topP, topK, batchSize, stop } = recipe.sampling;
  const areComplete = stopTest(tokenizer, stop);
  return { temperature, topP, topK, maxNewTokens, batchSize, stopIds: tokenizer.stopIds, areComplete, signal };
}

/** Tells the sampler in which responses one of the texts was written; undefined when there are none to look for. */
function stopTest(tokenizer: Tokenizer, stop: readonly string[]): GenerateOptions['areComplete'] {
  if (stop.length === 0) return undefined;
  return (responses) =>
    tokenizer
      .decodeBatch(responses.map((tokenIds) => tokenIds.slice(-STOP_WINDOW)))
      .map((tail) => stop.some((text) => tail.includes(text)));
}

/** What is kept of a sampled sequence. */
export interface SampledResponse {
  /** The text of `ids`, without white space around it. */
  text: string;
  /** A beginning of the very ids that were sampled; with the end token, where the model chose one and nothing was cut. */
  ids: number[];
  /** Summed log-probability of `ids` under the model that sampled them, in nats. */
  logProb: number;
}

/** Sampled sequences with what is kept of each, all decoded in one call of the tokenizer. */
export function sampledResponses<Sequence extends SampledSequence>(
  tokenizer: Tokenizer,
  sequences: readonly Sequence[],
  stop: readonly string[],
): { sequence: Sequence; kept: SampledResponse }[] {
  const wholes = tokenizer.decodeBatch(sequences.map(({ tokenIds }) => tokenIds));
  return sequences.map((sequence, i) => ({ sequence, kept: upToStop(tokenizer, sequence, wholes[i] ?? '', stop) }));
}

/** What the sampler made of one response. */
type SampledSequence = Pick<GeneratedResponse, 'tokenIds' | 'endId' | 'tokenLogProbs'>;

/**
 * A sampled sequence, whose text is `whole`, up to the first stop text. Tokens are cut, never texts: a text encoded again has other
 * ids, to which the log-probabilities do not belong. A token that holds the beginning of a stop text goes as a whole.
 */
function upToStop(
  tokenizer: Tokenizer,
  { tokenIds, endId, tokenLogProbs }: SampledSequence,
  whole: string,
  stop: readonly string[],
): SampledResponse {
  const cuts = stop.map((text) => whole.indexOf(text)).filter((at) => at >= 0);
  const ids = endId === null ? [...tokenIds] : [...tokenIds, endId];
  const kept = cuts.length === 0 ? ids : tokenIds.slice(0, tokensBefore(tokenizer, tokenIds, whole, Math.min(...cuts)));
  const logProb = tokenLogProbs.slice(0, kept.length).reduce((sum, value) => sum + value, 0);
  return { text: (cuts.length === 0 ? whole : tokenizer.decode(kept)).trim(), ids: kept, logProb };
}

/** The most tokens whose text lies within the first `length` characters of the whole text. */
function tokensBefore(tokenizer: Tokenizer, tokenIds: readonly number[], whole: string, length: number): number {
  // The stop text is at the end, or sampling would have ended before: the window that holds it is looked at first.
  for (let end = tokenIds.length; end > 0; end -= STOP_WINDOW) {
    const counts = Array.from({ length: Math.min(STOP_WINDOW, end) }, (_, i) => end - i);
    const texts = tokenizer.decodeBatch(counts.map((count) => tokenIds.slice(0, count)));
    const found = texts.findIndex((text) => text.length <= length && whole.startsWith(text));
    if (found >= 0) return counts[found] ?? 0;
  }
  return 0;
}
