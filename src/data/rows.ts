/**
 * @file A preference row, and how a record of a file becomes one. Accepted forms:
 *
 *   UltraFeedback-binarized   {prompt: text, chosen: [messages], rejected: [messages]}, the prompt repeated in both
 *   TRL conversational        {prompt: [messages], chosen: [messages], rejected: [messages]}, or without prompt
 *   TRL explicit, plain text  {prompt: text, chosen: text, rejected: text}
 *   prompts alone             {prompt: text}, {prompt: [messages]} or {messages: [messages]}
 *
 * Conversations may have several turns; what comes before the last assistant message is the prompt. Messages keep all
 * their fields (`tool_calls`, `reasoning_content` ...), and a column `tools` beside them is part of the prompt.
 */
import { sha256 } from '../files/hash.ts';
import { isEmpty, messageText, otherFields, saysMore } from '../text/message.ts';
import type { ChatPrompt, JsonObject, Message, Prompt, RenderingProblem, Response } from '../text/rendering.ts';
import { recordOf } from './formats/jsonl.ts';
import { type DataRecord, type RecordSource, shown, shownFields } from './formats/record.ts';

/** One usable row. `chosen` and `rejected` are both texts, or both null for a prompt alone. */
export interface PreferenceRow {
  /** The row's prompt_id, or the sha256 of the prompt. */
  promptId: string;
  prompt: Prompt;
  chosen: string | null;
  rejected: string | null;
  /** The messages that they are, where those are more than a text: reasoning, calls of tools, any other field. */
  chosenMessage?: Message;
  rejectedMessage?: Message;
  source: RecordSource;
  /** Which of several sources it is of (mixture.ts); absent where there is one. */
  dataset?: string;
}

/** The responses of a pair, chosen and rejected; none of a prompt alone. */
export function responsesOf({ chosen, rejected, chosenMessage, rejectedMessage }: PreferenceRow): Response[] {
  if (chosen === null || rejected === null) return [];
  return [
    { text: chosen, message: chosenMessage },
    { text: rejected, message: rejectedMessage },
  ];
}

/** Why a row cannot be used. */
export type RowProblem =
  | Extract<DataRecord, { kind: 'problem' }>['problem']
  | RenderingProblem
  | 'no prompt'
  | 'empty prompt'
  | 'only one of chosen and rejected'
  | 'wrong type'
  | 'chosen equals rejected'
  | 'chosen and rejected belong to different prompts'
  | 'no completion'
  | 'no label'
  | 'no turn of the assistant'
  | 'not of the form';

/** A row, or what is wrong with it: `field` names the place, `detail` shows the value. */
export type ParsedRow<Row extends PreferenceRow = PreferenceRow> =
  | { kind: 'row'; row: Row; unusedFields?: readonly string[] }
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

/** A list of messages, with every field that says something. */
export function messagesOf(value: unknown, field: string): Message[] {
  if (!Array.isArray(value))
    throw new Refusal('wrong type', field, `it is ${shown(value)}, allowed is a text or a list of messages`);
  return value.map((each: unknown, i) => messageFrom(each, `${field}[${i}]`));
}

function messageFrom(value: unknown, field: string): Message {
  const { role, content = null, ...others } = jsonObjectOf(value) ?? {};
  if (typeof role === 'string' && (typeof content === 'string' || content === null)) {
    const given = Object.entries(others).filter(([, each]) => each !== null);
    const message: Message = { role, content, ...Object.fromEntries(given) };
    if (content !== null || saysMore(message)) return message;
  }
  throw new Refusal(
    'wrong type',
    field,
    `it is ${shown(value)}, allowed is {"role": text, "content": text}; without content where there are tool_calls`,
  );
}

/** A value of a record as JSON has it: Parquet gives whole numbers as bigint, and times as dates. */
function jsonObjectOf(value: unknown): JsonObject | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  try {
    const text = JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? Number(part) : part));
    return JSON.parse(text) as JsonObject;
  } catch {
    return null; // nested too deeply for a stack
  }
}

/** The column `tools`: a list of definitions, or JSON of one, as data sets on the Hub have it. */
export function toolsOf(value: unknown): JsonObject[] {
  if (value === undefined || value === null || value === '') return [];
  let list: unknown = value;
  if (typeof value === 'string') {
    try {
      list = JSON.parse(value);
    } catch {
      list = null;
    }
  }
  const tools = Array.isArray(list) ? list.map(jsonObjectOf) : [null];
  return tools.map((tool) => {
    if (tool !== null) return tool;
    throw new Refusal('wrong type', 'tools', `it is ${shown(value)}, allowed is a list of objects, or JSON of one`);
  });
}

/** A prompt with the tools of its row; a text with tools is a message of the user. */
export function withTools(prompt: Prompt, value: unknown): Prompt {
  const tools = toolsOf(value);
  if (tools.length === 0) return prompt;
  const chat: ChatPrompt =
    prompt.kind === 'chat' ? prompt : { kind: 'chat', messages: [{ role: 'user', content: prompt.text }] };
  return { ...chat, tools };
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

/** A completion field: its last message, as text and where it is more as message, and the messages before it. */
export function completionOf(value: unknown, field: string): Response & { before: Message[] } {
  if (typeof value === 'string') return { text: value, before: [] };
  const messages = messagesOf(value, field);
  const last = messages.at(-1);
  if (last === undefined || last.role !== 'assistant') {
    throw new Refusal('wrong type', field, `its last message is ${shown(last)}, it must be the assistant's`);
  }
  const before = messages.slice(0, -1);
  const isText = otherFields(last).length === 0;
  return isText ? { text: last.content ?? '', before } : { text: messageText(last), message: last, before };
}

/** Whether two conversations say the same; fields that say nothing do not count. */
function sameMessages(a: readonly Message[], b: readonly Message[]): boolean {
  const said = (messages: readonly Message[]): string =>
    JSON.stringify(
      messages.map((message) => {
        const others = otherFields(message).toSorted();
        return [message.role, message.content, ...others.map((name) => [name, message[name]])];
      }),
    );
  return said(a) === said(b);
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
    // The answer of a whole conversation is left out; a prompt that ends in the assistant's words is continued.
    const field = has('prompt') ? 'prompt' : 'messages';
    if (!has(field)) throw new Refusal('no prompt', 'prompt', noPromptDetail(value));
    const prompt = promptOf(value[field], field);
    const asked: Prompt =
      field === 'messages' && prompt.kind === 'chat' && prompt.messages.at(-1)?.role === 'assistant'
        ? { kind: 'chat', messages: prompt.messages.slice(0, -1) }
        : prompt;
    if (asked.kind === 'chat' && asked.messages.length === 0)
      throw new Refusal('empty prompt', field, 'it has an answer only');
    const alone = withTools(asked, value.tools);
    return { promptId: idOf(alone), prompt: alone, chosen: null, rejected: null };
  }
  const chosen = completionOf(value.chosen, 'chosen');
  const rejected = completionOf(value.rejected, 'rejected');
  const prompt = withTools(pairPrompt(value, chosen, rejected), value.tools);
  if (chosen.text === rejected.text)
    throw new Refusal('chosen equals rejected', 'rejected', `both are ${shown(chosen.text)}`);
  return {
    promptId: idOf(prompt),
    prompt,
    chosen: chosen.text,
    rejected: rejected.text,
    ...(chosen.message === undefined ? {} : { chosenMessage: chosen.message }),
    ...(rejected.message === undefined ? {} : { rejectedMessage: rejected.message }),
  };
}

function noPromptDetail(value: Record<string, unknown>): string {
  const names = Object.keys(value);
  const [first] = names;
  if (first === undefined) return 'the row has no fields';
  return `the row has the fields ${shownFields(names)}: name the one that is the prompt, such as data.columns: { prompt: ${shownFields([first])} }`;
}

/** Fields of which a row is made, of those that a file has: a conversation that the pair holds already is left out. */
export function neededFields(available: readonly string[]): string[] {
  const pair = available.includes('chosen') || available.includes('rejected');
  const prompt = available.includes('prompt');
  const text = pair ? ['prompt', 'chosen', 'rejected'] : prompt ? ['prompt'] : ['messages'];
  const found = [...text, 'tools'].filter((name) => available.includes(name));
  const isRow = found.some((name) => name !== 'tools');
  return isRow ? ['prompt_id', ...found].filter((name) => available.includes(name)) : [];
}

/** Fields that no row is made of: scores, names of models, answers in other forms. */
export function unusedFields(available: readonly string[]): string[] {
  const needed = neededFields(available);
  // A pair repeats its conversation there.
  const repeated = available.includes('chosen') ? ['messages'] : [];
  return needed.length === 0 ? [] : available.filter((name) => !needed.includes(name) && !repeated.includes(name));
}

/**
 * One record of a file as a row. Never throws for what the record holds.
 * @param columns fields of the file that no row is made of and that were not read
 */
export function rowOfRecord(record: DataRecord, columns: readonly string[] = []): ParsedRow {
  if (record.kind === 'problem') return record;
  const { value, source } = record;
  try {
    const row = { ...rowOf(value), source };
    const said = Object.keys(value).filter((name) => !isEmpty(value[name]));
    const unused = [...unusedFields(said), ...columns];
    return unused.length === 0 ? { kind: 'row', row } : { kind: 'row', row, unusedFields: unused };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { kind: 'problem', problem: error.problem, field: error.field, detail: error.message, source };
  }
}

/** One line of a JSONL file as a row. */
export function parseRow(line: string, source: RecordSource): ParsedRow {
  return rowOfRecord(recordOf(line, source));
}
