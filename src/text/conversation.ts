/** @file Prompts and responses, and the text that the model's chat template makes of them; plain text stays as it is. */
import { TextError } from '../errors.ts';
import { type Message, renderTemplate } from './template.ts';
import type { Tokenizer } from './tokenizer.ts';

/** A conversation, rendered by the model's chat template, or a plain text that the response continues. */
export type Prompt = { kind: 'chat'; messages: Message[] } | { kind: 'text'; text: string };

/** What a response reads, and what of it is scored. The prompts of one pair can differ by a token (`faithful`). */
export interface RenderedSequence {
  promptIds: number[];
  responseIds: number[];
}

/** Messages as the chat template writes them; `open`: the assistant's turn is begun at the end. */
export function conversationText(tokenizer: Tokenizer, messages: readonly Message[], turn: 'open' | 'closed'): string {
  const { bosToken, eosToken } = tokenizer;
  return renderTemplate(template(tokenizer), messages, { addGenerationPrompt: turn === 'open', bosToken, eosToken });
}

function template(tokenizer: Tokenizer): string {
  if (tokenizer.chatTemplate !== null) return tokenizer.chatTemplate;
  throw new TextError(
    'TEMPLATE_MISSING',
    `Cannot render a conversation for ${tokenizer.directory}: tokenizer_config.json has no "chat_template" and there is no chat_template.jinja: add one, or give prompts as plain text`,
    { details: { file: `${tokenizer.directory}/tokenizer_config.json`, field: 'chat_template' } },
  );
}

/** The text of a prompt as the model sees it, the assistant's turn open. */
export function promptText(tokenizer: Tokenizer, prompt: Prompt): string {
  switch (prompt.kind) {
    case 'text':
      return prompt.text;
    case 'chat':
      return conversationText(tokenizer, prompt.messages, 'open');
  }
}

/** The text of a prompt with its response, the turn closed. */
export function wholeText(tokenizer: Tokenizer, prompt: Prompt, response: string): string {
  switch (prompt.kind) {
    case 'text':
      return prompt.text + response;
    case 'chat':
      return conversationText(tokenizer, [...prompt.messages, { role: 'assistant', content: response }], 'closed');
  }
}

/** How many leading elements two sequences share. */
export function commonLength<T>(a: ArrayLike<T>, b: ArrayLike<T>): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
