/**
 * @file Gives the fields of a file the names that rows.ts and supervised-rows.ts read. The recipe's `data.columns` says which
 * field is which, or the form of the file is a known one:
 *
 *   ShareGPT     {conversations: [{from: "human", value: text}, ...]}, also in chosen and rejected
 *   Alpaca       {instruction, input, output}: the prompt is the instruction, and the input below it; output the completion
 *   hh-rlhf      {chosen: "\n\nHuman: ...\n\nAssistant: ...", rejected: ...}: transcripts become conversations
 *
 * Only `data.columns` replaces a field that a row already has under our name.
 */
import { DataError } from '../errors.ts';
import { readRecords } from './formats/read.ts';
import { type DataRecord, type FieldChoice, shownFields } from './formats/record.ts';

/** Names of the file's fields, by ours. */
export interface Columns {
  prompt?: string | undefined;
  chosen?: string | undefined;
  rejected?: string | undefined;
  messages?: string | undefined;
  completion?: string | undefined;
  label?: string | undefined;
  promptId?: string | undefined;
}

/** One of our fields, and the fields of the file that it is made of. */
interface Field {
  name: string;
  from: string[];
}

/** Streams the records of files under our names. DataError where a Parquet file lacks a column that `columns` names. */
export async function* readNamedRecords(
  files: readonly string[],
  choose: FieldChoice,
  columns: Columns = {},
): AsyncGenerator<DataRecord> {
  for (const file of files) {
    const chooseRaw: FieldChoice = (available) => {
      const missing = renamed(columns).find(({ from }) => !available.includes(from[0] ?? ''));
      if (missing !== undefined) throw missingColumn(file, missing, available);
      const fields = fieldsOf(available, columns);
      const wanted = choose(fields.map(({ name }) => name));
      return fields.filter(({ name }) => wanted.includes(name)).flatMap(({ from }) => from);
    };
    for await (const record of readRecords([file], chooseRaw)) yield namedRecord(record, columns);
  }
}

/** A record under our names. */
export function namedRecord(record: DataRecord, columns: Columns = {}): DataRecord {
  if (record.kind === 'problem') return record;
  const { value, source } = record;
  const there = Object.keys(value).filter((name) => value[name] !== undefined && value[name] !== null);
  const missing = renamed(columns).find(({ from }) => !(from[0] !== undefined && from[0] in value));
  if (missing !== undefined) {
    const detail = `data.columns takes "${missing.name}" from it, and the row has the fields ${shownFields(Object.keys(value))}`;
    return { kind: 'problem', problem: 'no such column', field: missing.from[0] ?? '', detail, source };
  }
  const named: Record<string, unknown> = {};
  for (const { name, from } of fieldsOf(there, columns)) named[name] = fieldValue(from.map((field) => value[field]));
  return { kind: 'record', value: withoutTranscripts(named), source };
}

/** Our fields of a file's or a row's. */
function fieldsOf(available: readonly string[], columns: Columns): Field[] {
  const mapped = renamed(columns).filter(({ from }) => available.includes(from[0] ?? ''));
  const taken = new Set(mapped.flatMap(({ name, from }) => [name, ...from]));
  const fields: Field[] = [
    ...mapped,
    ...available.filter((name) => !taken.has(name)).map((name) => ({ name, from: [name] })),
  ];
  const has = (name: string): boolean => fields.some((field) => field.name === name);
  const take = (name: string, from: string[]): void => {
    for (const used of from) {
      const at = fields.findIndex((field) => field.name === used);
      if (at >= 0) fields.splice(at, 1);
    }
    fields.push({ name, from });
  };
  const hasPrompt = has('prompt') || has('messages');
  if (has('conversations') && !hasPrompt) take(has('chosen') ? 'prompt' : 'messages', ['conversations']);
  else if (has('instruction') && !hasPrompt) {
    take('prompt', has('input') ? ['instruction', 'input'] : ['instruction']);
    if (has('output') && !has('completion')) take('completion', ['output']);
  }
  return fields;
}

function renamed({ promptId, ...columns }: Columns): Field[] {
  return Object.entries({ ...columns, prompt_id: promptId }).flatMap(([name, from]) =>
    from === undefined ? [] : [{ name, from: [from] }],
  );
}

/** The value of a field: conversations in our form, and of several texts those that say something, below each other. */
function fieldValue(values: readonly unknown[]): unknown {
  if (values.length === 1) return conversation(values[0]);
  const [first] = values;
  if (typeof first !== 'string') return first;
  return values.filter((value) => typeof value === 'string' && value.trim() !== '').join('\n\n');
}

/** ShareGPT's turns as messages, and a single message as a list of one; anything else as it is. */
function conversation(value: unknown): unknown {
  if (isTurn(value)) return [messageOf(value)];
  if (isObject(value) && 'role' in value && 'content' in value) return [value];
  return Array.isArray(value) && value.length > 0 && value.every(isTurn) ? value.map(messageOf) : value;
}

interface Turn {
  from: string;
  value: unknown;
}

const ROLES = new Map([
  ['human', 'user'],
  ['gpt', 'assistant'],
  ['chatgpt', 'assistant'],
  ['bing', 'assistant'],
  ['bard', 'assistant'],
]);

function isTurn(value: unknown): value is Turn {
  return isObject(value) && typeof value.from === 'string' && 'value' in value && !('role' in value);
}

function messageOf({ from, value }: Turn): Record<string, unknown> {
  return { role: ROLES.get(from) ?? from, content: value };
}

/** The row with hh-rlhf's transcripts as conversations. */
function withoutTranscripts(row: Record<string, unknown>): Record<string, unknown> {
  const changed: Record<string, unknown> = {};
  for (const name of ['prompt', 'chosen', 'rejected']) {
    const messages = transcript(row[name]);
    if (messages === null) continue;
    // A prompt ends where the assistant is to speak.
    const open = name === 'prompt' && messages.at(-1)?.content === '';
    changed[name] = open ? messages.slice(0, -1) : messages;
  }
  return { ...row, ...changed };
}

/** The messages of a transcript, or null for any other value. */
function transcript(value: unknown): { role: string; content: string }[] | null {
  if (typeof value !== 'string' || !/^\s*Human:/.test(value) || !value.startsWith('\n\n')) return null;
  const [, ...parts] = value.split(/\n\n(?=(?:Human|Assistant):)/);
  return parts.map((part) => {
    const [, who, content = ''] = /^(Human|Assistant): ?([\s\S]*)$/.exec(part) ?? [];
    return { role: who === 'Human' ? 'user' : 'assistant', content };
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function missingColumn(file: string, { name, from }: Field, available: readonly string[]): DataError {
  return new DataError(
    'DATA_COLUMNS',
    `Cannot read ${file}: data.columns takes "${name}" from "${from[0]}", and the file has the columns ${shownFields(available)}: name one of them`,
    { details: { file, column: from[0], columns: available } },
  );
}
