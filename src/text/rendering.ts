/**
 * @file Prompts and responses as token ids. `clean`: a start token once where the model has one, the chat template's
 * header masked (it belongs to the prompt), and exactly one end token. What is scored after the prompt is what the model
 * itself would write there. How this differs from TRL's and from the authors' rendering: docs/rendering.md.
 */
import { TextError } from '../errors.ts';
import { type Message, renderTemplate } from './template.ts';
import type { Tokenizer } from './tokenizer.ts';

export type { Message } from './template.ts';

/** A conversation, rendered by the model's chat template, or a plain text that the response continues. */
export type Prompt = { kind: 'chat'; messages: Message[] } | { kind: 'text'; text: string };

/** How texts become ids. */
export type Rendering = 'clean';

function template(tokenizer: Tokenizer): string {
  if (tokenizer.chatTemplate !== null) return tokenizer.chatTemplate;
  throw new TextError(
    'TEMPLATE_MISSING',
    `Cannot render a conversation for ${tokenizer.directory}: tokenizer_config.json has no "chat_template" and there is no chat_template.jinja: add one, or give prompts as plain text`,
    { details: { file: `${tokenizer.directory}/tokenizer_config.json`, field: 'chat_template' } },
  );
}

function conversation(tokenizer: Tokenizer, messages: readonly Message[], turn: 'open' | 'closed'): string {
  const { bosToken, eosToken } = tokenizer;
  return renderTemplate(template(tokenizer), messages, { addGenerationPrompt: turn === 'open', bosToken, eosToken });
}

/** The text of a prompt as the model sees it, the assistant's turn open. */
export function promptText(tokenizer: Tokenizer, prompt: Prompt): string {
  switch (prompt.kind) {
    case 'text':
      return prompt.text;
    case 'chat':
      return conversation(tokenizer, prompt.messages, 'open');
  }
}

/** The text of a prompt with its response, the turn closed. */
function wholeText(tokenizer: Tokenizer, prompt: Prompt, response: string): string {
  switch (prompt.kind) {
    case 'text':
      return prompt.text + response;
    case 'chat':
      return conversation(tokenizer, [...prompt.messages, { role: 'assistant', content: response }], 'closed');
  }
}

/** How many leading elements two sequences share. */
export function commonLength<T>(a: ArrayLike<T>, b: ArrayLike<T>): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

/** Ids with the start token once, where the model or its template has one. */
function withOneStart(tokenizer: Tokenizer, ids: readonly number[]): number[] {
  const { bosId } = tokenizer;
  if (bosId === null) return [...ids];
  const text = ids.findIndex((id) => id !== bosId);
  const rest = ids.slice(text < 0 ? ids.length : text);
  const wanted = tokenizer.addBosToken || rest.length < ids.length;
  return wanted ? [bosId, ...rest] : rest;
}

/** Ids of a prompt: one start token where the model has one, the assistant's header included. */
export function renderPrompt(tokenizer: Tokenizer, prompt: Prompt, rendering: Rendering): number[] {
  switch (rendering) {
    case 'clean':
      return withOneStart(tokenizer, tokenizer.encode(promptText(tokenizer, prompt)));
  }
}

/** Scored ids of a response that is known as text: what follows the prompt's ids, and one end token. */
export function renderResponse(tokenizer: Tokenizer, prompt: Prompt, response: string, rendering: Rendering): number[] {
  switch (rendering) {
    case 'clean': {
      const before = promptText(tokenizer, prompt);
      const whole = wholeText(tokenizer, prompt, response);
      const [beforeIds = [], wholeIds = []] = tokenizer.encodeBatch([before, whole]);
      // Usually the prompt's ids begin the whole's; where a token merges across the seam, the rest is encoded by itself.
      const follows = commonLength(beforeIds, wholeIds) === beforeIds.length;
      const ids = follows
        ? wholeIds.slice(beforeIds.length)
        : tokenizer.encode(whole.slice(commonLength(before, whole)));
      return withOneEnd(tokenizer, ids);
    }
  }
}

/** Ids up to their first end token; one is added where there is none. */
function withOneEnd(tokenizer: Tokenizer, ids: readonly number[]): number[] {
  const end = ids.findIndex((id) => tokenizer.stopIds.includes(id));
  return end < 0 ? [...ids, tokenizer.eosId] : ids.slice(0, end + 1);
}
