/**
 * @file Responses that somebody called good or bad, and how they are read from a record of a file. A record has one of these
 * forms; the first that fits counts:
 *
 *   labelled response  {prompt: text or [messages], completion: text or [messages], label: true or false}, TRL's unpaired form
 *   conversation       {messages: [messages], label}: its last turn, the assistant's, is what the label is about
 *   preference row     {prompt, chosen, rejected} as in rows.ts: a good and a bad response, as TRL unpairs them
 *
 * A label is true or false, 1 or 0, or one of these as text (CSV has nothing else).
 */
import type { Conversation } from '../text/supervised.ts';
import { type DataRecord, shown } from './formats/record.ts';
import { completionOf, type ParsedRow, pairPrompt, Refusal, toolsOf } from './rows.ts';
import { conversationOfResponse, type SupervisedRow, withToolsOf } from './supervised-rows.ts';

export interface LabelledRow extends SupervisedRow {
  /** Whether the response is good. */
  desirable: boolean;
}

export type ParsedLabelledRows = { kind: 'rows'; rows: LabelledRow[] } | Extract<ParsedRow, { kind: 'problem' }>;

/** Fields of which a row is made, of those that a file has. */
export function labelledFields(available: readonly string[]): string[] {
  const forms = [
    ['prompt', 'completion', 'label'],
    ['messages', 'label'],
    ['prompt', 'chosen', 'rejected'],
  ];
  const form = forms.find((fields) => fields.slice(1).every((name) => available.includes(name))) ?? [];
  const fields = form.length === 0 ? [] : [...form, 'tools'];
  return fields.filter((name) => available.includes(name));
}

/** One record of a file as one labelled response, or two of a pair. Never throws for what the record holds. */
export function labelledRowsOf(record: DataRecord): ParsedLabelledRows {
  if (record.kind === 'problem') return record;
  const { value, source } = record;
  try {
    const rows = responsesOf(value).map(({ conversation, desirable }) => ({
      conversation: withToolsOf(conversation, toolsOf(value.tools)),
      desirable,
      source,
    }));
    return { kind: 'rows', rows };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { kind: 'problem', problem: error.problem, field: error.field, detail: error.message, source };
  }
}

function responsesOf(row: Record<string, unknown>): { conversation: Conversation; desirable: boolean }[] {
  const has = (name: string): boolean => row[name] !== undefined && row[name] !== null;
  if (has('completion') || has('messages')) {
    const field = has('completion') ? 'completion' : 'messages';
    const completion = completionOf(row[field], field);
    const prompt = pairPrompt(field === 'completion' ? row : { chosen: row.messages }, completion, completion);
    return [{ conversation: conversationOfResponse(prompt, completion), desirable: labelOf(row.label) }];
  }
  if (has('chosen') && has('rejected')) {
    const [chosen, rejected] = [completionOf(row.chosen, 'chosen'), completionOf(row.rejected, 'rejected')];
    const prompt = pairPrompt(row, chosen, rejected);
    return [
      { conversation: conversationOfResponse(prompt, chosen), desirable: true },
      { conversation: conversationOfResponse(prompt, rejected), desirable: false },
    ];
  }
  const fields = Object.keys(row).join(', ') || 'none';
  throw new Refusal(
    'no completion',
    'completion',
    `the row has no completion with a label, and no chosen and rejected; its fields are ${fields}`,
  );
}

const LABELS = new Map<unknown, boolean>([
  [true, true],
  [false, false],
  [1, true],
  [0, false],
  [1n, true],
  [0n, false],
  ['1', true],
  ['0', false],
  ['true', true],
  ['false', false],
]);

function labelOf(value: unknown): boolean {
  const label = LABELS.get(typeof value === 'string' ? value.toLowerCase() : value);
  if (label !== undefined) return label;
  throw new Refusal('no label', 'label', `it is ${shown(value)}, allowed is true or false (good or bad), or 1 or 0`);
}
