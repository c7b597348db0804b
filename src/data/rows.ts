/**
 * @file A preference row, and how a record of a file becomes one. Accepted forms:
 *
 *   UltraFeedback-binarized   {prompt: text, chosen: [messages], rejected: [messages]}, the prompt repeated in both
 *   TRL conversational        {prompt: [messages], chosen: [messages], rejected: [messages]}, or without prompt
 *   TRL explicit, plain text  {prompt: text, chosen: text, rejected: text}
 *   prompts alone             {prompt: text}, {prompt: [messages]} or {messages: [messages]}
 *
 * Conversations may have several turns; what comes before the last assistant message is the prompt.
 */
import { sha256 } from '../files/hash.ts';
import type { Message, Prompt } from '../text/rendering.ts';
import { recordOf } from './formats/jsonl.ts';
import { type DataRecord, type RecordSource, shown } from './formats/record.ts';

/** One usable row. `chosen` and `rejected` are both texts, or both null for a prompt alone. */
export interface PreferenceRow {
  /** The row's prompt_id, or the sha256 of the prompt. */
  promptId: string;
  prompt: Prompt;
  chosen: string | null;
  rejected: string | null;
  source: RecordSource;
}

/** Why a row cannot be used. */
export type RowProblem =
  | Extract<DataRecord, { kind: 'problem' }>['problem']
  | 'no prompt'
  | 'empty prompt'
  | 'only one of chosen and rejected'
  | 'wrong type'
  | 'chosen equals rejected'
  | 'chosen and rejected belong to different prompts'
  | 'no completion'
  | 'no turn of the assistant'
  | 'not of the form';

/** A row, or what is wrong with it: `field` names the place, `detail` shows the value. */
export type ParsedRow =
  | { kind: 'row'; row: PreferenceRow }
  | { kind: 'problem'; problem: RowProblem; field: string; detail: string; source: RecordSource };

/** Why a record is no row; it never leaves the parsers. */
export class Refusal extends Error {
  readonly problem: RowProblem;
  readonly field: string;
  constructor(problem: RowProblem, field: string, detail: string) {
    super(detail);
    this.problem = problem;
    this.field = field;
  }
}

/** A list of messages. */
export function messagesOf(value: unknown, field: string): Message[] {
  if (!Array.isArray(value))
    throw new Refusal('wrong type', field, `it is ${shown(value)}, allowed is a text or a list of messages`);
  return value.map((each: unknown, i) => {
    const message = typeof each === 'object' && each !== null ? (each as Record<string, unknown>) : {};
    const { role, content } = message;
    if (typeof role !== 'string' || typeof content !== 'string') {
      throw new Refusal(
        'wrong type',
        `${field}[${i}]`,
        `it is ${shown(each)}, allowed is {"role": text, "content": text}`,
      );
    }
    return { role, content };
  });
}

/** A prompt field: a text, or a conversation. */
export function promptOf(value: unknown, field: string): Prompt {
  if (typeof value === 'string') {
    if (value.trim() === '') throw new Refusal('empty prompt', field, 'it has no text');
    return { kind: 'text', text: value };
  }
  const messages = messagesOf(value, field);
  if (messages.length === 0) throw new Refusal('empty prompt', field, 'it has no messages');
  return { kind: 'chat', messages };
}

/** A completion field: the text of its last message, and the messages before it. */
export function completionOf(value: unknown, field: string): { text: string; before: Message[] } {
  if (typeof value === 'string') return { text: value, before: [] };
  const messages = messagesOf(value, field);
  const last = messages.at(-1);
  if (last === undefined || last.role !== 'assistant') {
    throw new Refusal('wrong type', field, `its last message is ${shown(last)}, it must be the assistant's`);
  }
  return { text: last.content, before: messages.slice(0, -1) };
}

function sameMessages(a: readonly Message[], b: readonly Message[]): boolean {
  return (
    a.length === b.length && a.every((message, i) => message.role === b[i]?.role && message.content === b[i]?.content)
  );
}

/** Prompt of a row whose completions are conversations: what they share, or the prompt field with them. */
export function pairPrompt(
  row: Record<string, unknown>,
  chosen: { before: Message[] },
  rejected: { before: Message[] },
): Prompt {
  const field = row.prompt === undefined || row.prompt === null ? null : promptOf(row.prompt, 'prompt');
  if (chosen.before.length === 0 && rejected.before.length === 0) {
    if (field === null)
      throw new Refusal('no prompt', 'prompt', 'the row has none, and chosen has no message before the answer');
    // TRL's explicit form with one assistant message each: the prompt field is the conversation.
    const conversation = Array.isArray(row.chosen);
    return conversation && field.kind === 'text'
      ? { kind: 'chat', messages: [{ role: 'user', content: field.text }] }
      : field;
  }
  if (!sameMessages(chosen.before, rejected.before)) {
    throw new Refusal(
      'chosen and rejected belong to different prompts',
      'rejected',
      'its messages before the answer differ from those of chosen',
    );
  }
  // UltraFeedback repeats the prompt in both; TRL's implicit form has it nowhere else; else the two follow each other.
  if (field === null || field.kind === 'text') return { kind: 'chat', messages: chosen.before };
  return {
    kind: 'chat',
    messages: sameMessages(field.messages, chosen.before) ? chosen.before : [...field.messages, ...chosen.before],
  };
}

function rowOf(value: Record<string, unknown>): Omit<PreferenceRow, 'source'> {
  const has = (name: string): boolean => value[name] !== undefined && value[name] !== null;
  const idOf = (prompt: Prompt): string =>
    typeof value.prompt_id === 'string' && value.prompt_id !== '' ? value.prompt_id : sha256(JSON.stringify(prompt));
  if (has('chosen') !== has('rejected')) {
    const missing = has('chosen') ? 'rejected' : 'chosen';
    throw new Refusal('only one of chosen and rejected', missing, 'it is missing, and the other one is there');
  }
  if (!has('chosen')) {
    const field = has('prompt') ? 'prompt' : 'messages';
    if (!has(field))
      throw new Refusal('no prompt', 'prompt', `the row has the fields ${Object.keys(value).join(', ') || 'none'}`);
    const prompt = promptOf(value[field], field);
    const trimmed: Prompt =
      prompt.kind === 'chat' && prompt.messages.at(-1)?.role === 'assistant'
        ? { kind: 'chat', messages: prompt.messages.slice(0, -1) }
        : prompt;
    if (trimmed.kind === 'chat' && trimmed.messages.length === 0)
      throw new Refusal('empty prompt', field, 'it has an answer only');
    return { promptId: idOf(trimmed), prompt: trimmed, chosen: null, rejected: null };
  }
  const chosen = completionOf(value.chosen, 'chosen');
  const rejected = completionOf(value.rejected, 'rejected');
  const prompt = pairPrompt(value, chosen, rejected);
  if (chosen.text === rejected.text)
    throw new Refusal('chosen equals rejected', 'rejected', `both are ${shown(chosen.text)}`);
  return { promptId: idOf(prompt), prompt, chosen: chosen.text, rejected: rejected.text };
}

/** Fields of which a row is made, of those that a file has: a conversation that the pair holds already is left out. */
export function neededFields(available: readonly string[]): string[] {
  const pair = available.includes('chosen') || available.includes('rejected');
  const prompt = available.includes('prompt');
  const text = pair ? ['prompt', 'chosen', 'rejected'] : prompt ? ['prompt'] : ['messages'];
  const found = text.filter((name) => available.includes(name));
  return found.length === 0 || !available.includes('prompt_id') ? found : ['prompt_id', ...found];
}

/** One record of a file as a row. Never throws for what the record holds. */
export function rowOfRecord(record: DataRecord): ParsedRow {
  if (record.kind === 'problem') return record;
  const { value, source } = record;
  try {
    return { kind: 'row', row: { ...rowOf(value), source } };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { kind: 'problem', problem: error.problem, field: error.field, detail: error.message, source };
  }
}

/** One line of a JSONL file as a row. */
export function parseRow(line: string, source: RecordSource): ParsedRow {
  return rowOfRecord(recordOf(line, source));
}
