/**
 * @file A row to learn from, and how a record of a file becomes one. A record has one of these forms; the first that fits counts:
 *
 *   conversation          {messages: [messages]}: every turn of the assistant is learned
 *   prompt and completion {prompt: text or [messages], completion: text or [messages]}
 *   preference row        {prompt, chosen} as in rows.ts: the chosen response is learned
 */
import type { JsonObject, Prompt, Response } from '../text/rendering.ts';
import { type Conversation, readConversation } from '../text/supervised.ts';
import { type DataRecord, type RecordSource, shown } from './formats/record.ts';
import { completionOf, messagesOf, type ParsedRow, pairPrompt, promptOf, Refusal, toolsOf } from './rows.ts';

export interface SupervisedRow {
  conversation: Conversation;
  source: RecordSource;
}

export type ParsedSupervisedRow = { kind: 'row'; row: SupervisedRow } | Extract<ParsedRow, { kind: 'problem' }>;

/** Fields of which a row is made, of those that a file has. */
export function supervisedFields(available: readonly string[]): string[] {
  const forms = [['messages'], ['prompt', 'completion'], ['prompt', 'chosen']];
  const form = forms.find((fields) => available.includes(fields.at(-1) ?? '')) ?? [];
  const fields = form.length === 0 ? [] : [...form, 'tools'];
  return fields.filter((name) => available.includes(name));
}

/** One record of a file as a row. Never throws for what the record holds. */
export function supervisedRowOf(record: DataRecord): ParsedSupervisedRow {
  if (record.kind === 'problem') return record;
  const { value, source } = record;
  try {
    return { kind: 'row', row: { conversation: conversationWithTools(value), source } };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { kind: 'problem', problem: error.problem, field: error.field, detail: error.message, source };
  }
}

function conversationWithTools(row: Record<string, unknown>): Conversation {
  return withToolsOf(conversationOf(row), toolsOf(row.tools));
}

/** A conversation with the tools of its row; a text with tools is a message of the user. */
export function withToolsOf(conversation: Conversation, tools: JsonObject[]): Conversation {
  if (tools.length === 0) return conversation;
  const chat = readConversation(conversation, 'chat');
  return chat.kind === 'chat' ? { ...chat, tools } : chat;
}

function conversationOf(row: Record<string, unknown>): Conversation {
  const has = (name: string): boolean => row[name] !== undefined && row[name] !== null;
  if (has('messages')) return withTurn({ messages: messagesOf(row.messages, 'messages'), from: 1 }, 'messages');
  if (has('completion')) return completed(row);
  if (has('chosen')) {
    const chosen = completionOf(row.chosen, 'chosen');
    return conversationOfResponse(pairPrompt(row, chosen, chosen), chosen);
  }
  const fields = Object.keys(row).join(', ') || 'none';
  throw new Refusal(
    'no completion',
    'messages',
    `the row has no messages, completion or chosen; its fields are ${fields}`,
  );
}

/** A prompt with one response; the response is learned. */
export function conversationOfResponse(prompt: Prompt, { text, message }: Response): Conversation {
  if (prompt.kind === 'text') return { kind: 'text', prompt: prompt.text, completion: text };
  const answer = message ?? { role: 'assistant', content: text };
  return { kind: 'chat', messages: [...prompt.messages, answer], from: prompt.messages.length };
}

/** The prompt-completion form: two texts, or a conversation in two parts. */
function completed(row: Record<string, unknown>): Conversation {
  if (row.prompt === undefined || row.prompt === null) throw new Refusal('no prompt', 'prompt', 'the row has none');
  const prompt = promptOf(row.prompt, 'prompt');
  if (typeof row.completion === 'string') {
    if (prompt.kind === 'text') return { kind: 'text', prompt: prompt.text, completion: row.completion };
    const answer = { role: 'assistant', content: row.completion };
    return { kind: 'chat', messages: [...prompt.messages, answer], from: prompt.messages.length };
  }
  const before = prompt.kind === 'text' ? [{ role: 'user', content: prompt.text }] : prompt.messages;
  const messages = [...before, ...messagesOf(row.completion, 'completion')];
  return withTurn({ messages, from: before.length }, 'completion');
}

/** The first message of all answers nothing, so it is never learned. */
function withTurn(
  { messages, from }: { messages: ReturnType<typeof messagesOf>; from: number },
  field: string,
): Conversation {
  if (messages.slice(from).some(({ role }) => role === 'assistant')) return { kind: 'chat', messages, from };
  const roles = messages.map(({ role }) => role);
  throw new Refusal('no turn of the assistant', field, `its roles are ${shown(roles)}`);
}
