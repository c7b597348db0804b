/**
 * @file The `clean` rendering: a start token once where the model has one, the chat template's header masked (it belongs to
 * the prompt), and exactly one end token. What is scored after the prompt is what the model itself would write there.
 */
import { commonLength, type Prompt, promptText, wholeText } from './conversation.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Ids of prompts: one start token where the model has one, the assistant's header included. */
export function cleanPrompts(tokenizer: Tokenizer, prompts: readonly Prompt[]): number[][] {
  const texts = prompts.map((prompt) => promptText(tokenizer, prompt));
  return tokenizer.encodeBatch(texts).map((ids) => withOneStart(tokenizer, ids));
}

/** What has to be encoded for a prompt and responses that are known as text: the prompt, and it with each response. */
export function cleanTexts(tokenizer: Tokenizer, prompt: Prompt, responses: readonly string[]): string[] {
  return [promptText(tokenizer, prompt), ...responses.map((response) => wholeText(tokenizer, prompt, response))];
}

/** Ids of the prompt, and the scored ids of each response: what follows the prompt's, and one end token. */
export function cleanIds(
  tokenizer: Tokenizer,
  [before = '', ...wholes]: readonly string[],
  [beforeIds = [], ...wholesIds]: readonly (readonly number[])[],
): { promptIds: number[]; responses: number[][] } {
  const responses = wholes.map((whole, i) => {
    const wholeIds = wholesIds[i] ?? [];
    // Usually the prompt's ids begin the whole's; where a token merges across the seam, the rest is encoded by itself.
    const follows = commonLength(beforeIds, wholeIds) === beforeIds.length;
    const ids = follows ? wholeIds.slice(beforeIds.length) : tokenizer.encode(whole.slice(commonLength(before, whole)));
    return withOneEnd(tokenizer, ids);
  });
  return { promptIds: withOneStart(tokenizer, beforeIds), responses };
}

/** Ids with the start token once, where the model or its template has one. */
export function withOneStart(tokenizer: Tokenizer, ids: readonly number[]): number[] {
  const { bosId } = tokenizer;
  if (bosId === null) return [...ids];
  const text = ids.findIndex((id) => id !== bosId);
  const rest = ids.slice(text < 0 ? ids.length : text);
  const wanted = tokenizer.addBosToken || rest.length < ids.length;
  return wanted ? [bosId, ...rest] : rest;
}

/** Ids up to their first end token; one is added where there is none. */
function withOneEnd(tokenizer: Tokenizer, ids: readonly number[]): number[] {
  const end = ids.findIndex((id) => tokenizer.stopIds.includes(id));
  return end < 0 ? [...ids, tokenizer.eosId] : ids.slice(0, end + 1);
}
