/** @file What a message holds beside its text, and how a person or a ranker reads the whole of it. */
import type { Message } from './template.ts';

/** Fields that models write before an answer, by the names that data sets and templates have for them. */
export const REASONING_FIELDS = ['reasoning_content', 'reasoning', 'thinking'] as const;
/** Fields of a message that are part of what was said: a template that leaves one out loses it. */
export const SPOKEN_FIELDS: readonly string[] = [...REASONING_FIELDS, 'tool_calls', 'function_call'];

/** Whether a field says nothing: null, or an empty text, list or object, as Parquet files have where a row has none. */
export function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** Names of the fields beside role and content that say something. */
export function otherFields(message: Message): string[] {
  return Object.keys(message).filter((name) => name !== 'role' && name !== 'content' && !isEmpty(message[name]));
}

/** Whether a message is more than its text: it reasons or calls tools. */
export function saysMore(message: Message): boolean {
  return otherFields(message).some((name) => SPOKEN_FIELDS.includes(name));
}

/** A message as a person or a ranker reads it: reasoning in <think> tags, the text, and a line of JSON for each call. */
export function messageText(message: Message): string {
  const reasoning = REASONING_FIELDS.map((name) => message[name]).find(
    (value) => typeof value === 'string' && value !== '',
  );
  const { tool_calls: calls, function_call: call, content } = message;
  const lines = [...(Array.isArray(calls) ? calls : []), ...(isEmpty(call) ? [] : [call])].map(
    (each) => `<tool_call>${JSON.stringify(each)}</tool_call>`,
  );
  const spoken = [...(isEmpty(content) ? [] : [content]), ...lines].join('\n');
  return typeof reasoning === 'string' ? `<think>\n${reasoning.trim()}\n</think>\n\n${spoken}` : spoken;
}
