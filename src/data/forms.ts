/** @file The forms in which preference rows are written. rows.ts reads all of them; other programs expect one. */
import { messageText, otherFields } from '../text/message.ts';
import type { JsonObject, Message, Prompt } from '../text/rendering.ts';
import { type PreferenceRow, responsesOf } from './rows.ts';

/** `ultrafeedback`: UltraFeedback-binarized's; `conversational`: TRL's, the prompt apart; `text`: no conversations. */
export const FORMS = ['conversational', 'ultrafeedback', 'text'] as const;
export type Form = (typeof FORMS)[number];

/** A row as it is written. A prompt alone has neither `chosen` nor `rejected`. */
export interface FormedRow {
  prompt_id: string;
  prompt: string | Message[];
  chosen: string | Message[] | null;
  rejected: string | Message[] | null;
  /** Definitions of tools, where the row has some. */
  tools?: JsonObject[];
}

/** Which columns are conversations, for formats that have to know before the first row. */
export function isConversation(form: Form, column: 'prompt' | 'chosen' | 'rejected'): boolean {
  switch (form) {
    case 'conversational':
      return true;
    case 'ultrafeedback':
      return column !== 'prompt';
    case 'text':
      return false;
  }
}

/** A row in a form, or why it has no place in it: what it says must stay. */
export function formRow(row: PreferenceRow, form: Form): FormedRow | { problem: string } {
  const { promptId: prompt_id, prompt } = row;
  const [chosen = null, rejected = null] = responsesOf(row).map(
    ({ text, message }): Message => message ?? { role: 'assistant', content: text },
  );
  const pair = <T>(make: (answer: Message) => T) => ({
    chosen: chosen === null ? null : make(chosen),
    rejected: rejected === null ? null : make(rejected),
  });
  const tools = prompt.kind === 'chat' && prompt.tools !== undefined ? { tools: prompt.tools } : {};
  switch (form) {
    case 'conversational':
      return { prompt_id, prompt: messagesOf(prompt), ...pair((answer) => [answer]), ...tools };
    case 'ultrafeedback': {
      if (chosen === null) return { problem: 'a prompt alone has no place in the form ultrafeedback' };
      const before = messagesOf(prompt);
      const first = before.find(({ role }) => role === 'user')?.content ?? undefined;
      if (first === undefined) return { problem: 'its prompt has no user message, which the form ultrafeedback needs' };
      return { prompt_id, prompt: first, ...pair((answer) => [...before, answer]), ...tools };
    }
    case 'text': {
      const text = textOf(prompt);
      const isText = [chosen, rejected].every((answer) => answer === null || otherFields(answer).length === 0);
      if (text === null) return { problem: 'its prompt is a conversation, which the form text cannot hold' };
      if (!isText) return { problem: 'its responses are more than texts, which the form text cannot hold' };
      return { prompt_id, prompt: text, ...pair(messageText) };
    }
  }
}

/** Whether a formed row holds more than roles and texts, for formats whose columns have no place for it. */
export function holdsMoreThanTexts({ prompt, chosen, rejected, tools }: FormedRow): boolean {
  const messages = [prompt, chosen, rejected].flatMap((each) => (Array.isArray(each) ? each : []));
  return tools !== undefined || messages.some((message) => message.content === null || otherFields(message).length > 0);
}

function messagesOf(prompt: Prompt): Message[] {
  return prompt.kind === 'chat' ? prompt.messages : [{ role: 'user', content: prompt.text }];
}

/** A text, or one user's message; more cannot be told apart in a text. */
function textOf(prompt: Prompt): string | null {
  if (prompt.kind === 'text') return prompt.text;
  const [only] = prompt.messages;
  const isText = prompt.tools === undefined && prompt.messages.length === 1 && only?.role === 'user';
  return isText && otherFields(only).length === 0 ? only.content : null;
}
