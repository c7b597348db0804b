/** @file A sampled sequence as a response: its text, and the ids that training scores. */
import type { GeneratedResponse, GenerateOptions } from '../../sample/generate.ts';
import type { Tokenizer } from '../../text/tokenizer.ts';
import type { IterationContext } from './stage.ts';

/** Tokens at the end of a response in which a stop text is looked for; longer than any sensible one. */
const STOP_WINDOW = 32;

/** How a stage samples: as the recipe's `sampling` says, hotter or longer where the stage has settings of its own. */
export function generateOptions(
  { recipe, tokenizer, signal }: Pick<IterationContext, 'recipe' | 'tokenizer' | 'signal'>,
  { temperature, maxNewTokens }: { temperature: number; maxNewTokens: number } = recipe.sampling,
): GenerateOptions {
  const { topP, topK, batchSize, stop } = recipe.sampling;
  const isComplete = stopTest(tokenizer, stop);
  return { temperature, topP, topK, maxNewTokens, batchSize, stopIds: tokenizer.stopIds, isComplete, signal };
}

/** Tells the sampler that one of the texts was written; undefined when there are none to look for. */
function stopTest(
  tokenizer: Tokenizer,
  stop: readonly string[],
): ((tokenIds: readonly number[]) => boolean) | undefined {
  if (stop.length === 0) return undefined;
  return (tokenIds) => {
    const tail = tokenizer.decode(tokenIds.slice(-STOP_WINDOW));
    return stop.some((text) => tail.includes(text));
  };
}

/**
 * Text and scored ids of a sampled sequence: the very ids that were sampled, with the end token that the model chose. A
 * response that a stop text ended is cut before it; its ids are those of the text that is left, and an end token.
 */
export function responseOf(
  tokenizer: Tokenizer,
  { tokenIds, endId }: Pick<GeneratedResponse, 'tokenIds' | 'endId'>,
  stop: readonly string[],
): { text: string; ids: number[] } {
  const whole = tokenizer.decode(tokenIds);
  const cuts = stop.map((text) => whole.indexOf(text)).filter((at) => at >= 0);
  if (cuts.length === 0) return { text: whole.trim(), ids: endId === null ? [...tokenIds] : [...tokenIds, endId] };
  const text = whole.slice(0, Math.min(...cuts)).trim();
  return { text, ids: [...tokenizer.encode(text), tokenizer.eosId] };
}
