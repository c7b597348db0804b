/** @file Prompts and responses, and the text that the model's chat template makes of them; plain text stays as it is. */
import { TextError } from '../errors.ts';
import { type JsonObject, type Message, renderTemplate } from './template.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

/** A conversation, rendered by the model's chat template. */
export interface ChatPrompt {
  kind: 'chat';
  messages: Message[];
  /** Definitions of the tools that the assistant may call, as the template shows them. */
  tools?: JsonObject[];
}

/** A conversation, or a plain text that the response continues. */
export type Prompt = ChatPrompt | { kind: 'text'; text: string };

/** A response to a prompt. */
export interface Response {
  text: string;
  /** The message that it is, where it is more than a text (reasoning, calls of tools). */
  message?: Message | undefined;
}

/** The text of a response, and the part of it that is scored. The prompts of one pair can differ. */
export interface RenderedSequence {
  promptIds: number[];
  responseIds: number[];
}

/**
 * Messages as the chat template writes them; `open`: the assistant's turn is begun at the end. A field that is null is not
 * shown to the template, as in transformers' `apply_chat_template`: a call of a tool without a text is not written as `None`.
 */
export function conversationText(
  tokenizer: Tokenizer,
  messages: readonly Message[],
  turn: 'open' | 'closed',
  tools?: readonly JsonObject[],
): string {
  const { bosToken, eosToken } = tokenizer;
  const variables = { addGenerationPrompt: turn === 'open', bosToken, eosToken, tools };
  return renderTemplate(template(tokenizer), messages.map(withoutNulls), variables);
}

function withoutNulls(message: Message): Message {
  const shown = Object.entries(message).filter(([, value]) => value !== null);
  return Object.fromEntries(shown) as Message; // a message without content is one to a template
}

function template(tokenizer: Tokenizer): string {
  if (tokenizer.chatTemplate !== null) return tokenizer.chatTemplate;
  throw new TextError(
    'TEMPLATE_MISSING',
    `Cannot render a conversation for ${tokenizer.directory}: tokenizer_config.json has no "chat_template" and there is no chat_template.jinja: add one, or give prompts as plain text`,
    { details: { file: `${tokenizer.directory}/tokenizer_config.json`, field: 'chat_template' } },
  );
}

/** The assistant's message that a response is. */
export function messageOf({ text, message }: Response): Message {
  return message ?? { role: 'assistant', content: text };
}

/** How many leading elements two sequences share. */
export function commonLength<T>(a: ArrayLike<T>, b: ArrayLike<T>): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
