/**
 * @file Pairs as TRL 1.16's DPOTrainer renders and cuts them, id for id: to compare with it on the same tokens. Not a
 * rendering to train with: no start token before conversations, no end token after them unless the template writes one,
 * and a long prompt pushes the responses out. docs/rendering.md has the reasons.
 */
import { TextError } from '../src/errors.ts';
import { commonLength, type Prompt } from '../src/text/conversation.ts';
import { renderTemplate } from '../src/text/template.ts';
import type { Tokenizer } from '../src/text/tokenizer/tokenizer.ts';

export interface TrlPair {
  promptIds: number[];
  chosenIds: number[];
  rejectedIds: number[];
}

function encodeAll(tokenizer: Tokenizer, prompt: Prompt, responses: readonly string[]): number[][] {
  const { bosToken, eosToken, chatTemplate } = tokenizer;
  if (prompt.kind === 'text') {
    const end = eosToken ?? '';
    const ended = responses.map((text) => (text.endsWith(end) ? text : text + end));
    return tokenizer.encodeBatchWithSpecialTokens([prompt.text, ...ended.map((text) => prompt.text + text)]);
  }
  if (chatTemplate === null)
    throw new TextError(
      'TEMPLATE_MISSING',
      `Cannot render a conversation for ${tokenizer.directory}: it has no chat template`,
    );
  const render = (messages: Prompt & { kind: 'chat' }, addGenerationPrompt: boolean): string =>
    renderTemplate(chatTemplate, messages.messages, { addGenerationPrompt, bosToken, eosToken });
  const wholes = responses.map((content) =>
    render({ kind: 'chat', messages: [...prompt.messages, { role: 'assistant', content }] }, false),
  );
  return tokenizer.encodeBatch([render(prompt, true), ...wholes]);
}

/** Ids of a pair, cut to `maxLength` from the start; null where TRL drops the row (its prompt alone fills the length). */
export function renderPairAsTrl(
  tokenizer: Tokenizer,
  pair: { prompt: Prompt; chosen: string; rejected: string },
  maxLength: number,
): TrlPair | null {
  const [prompt = [], chosen = [], rejected = []] = encodeAll(tokenizer, pair.prompt, [pair.chosen, pair.rejected]);
  const length = Math.min(commonLength(prompt, chosen), commonLength(prompt, rejected));
  if (length >= maxLength) return null;
  return {
    promptIds: prompt.slice(0, length),
    chosenIds: chosen.slice(length, maxLength),
    rejectedIds: rejected.slice(length, maxLength),
  };
}
