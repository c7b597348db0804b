/** @file What a form of another program gives: pairs and labelled responses, or the reason why there is none. */
import { type RecordSource, shown } from '../formats/record.ts';

/** A message of a conversation. */
export interface ImportedMessage {
  role: string;
  content: string;
}

/** A prompt with two responses, or with one and a label. */
export type ImportedRow =
  | { kind: 'pair'; prompt: ImportedMessage[]; chosen: string; rejected: string }
  | { kind: 'label'; prompt: ImportedMessage[]; completion: string; label: boolean };

/** Why something gave no row: the reason that is counted, and where it was. */
export interface ImportProblem {
  kind: 'problem';
  problem: string;
  detail: string;
  source: RecordSource;
}

/** A form: what its records give. */
export interface ImportForm {
  /** `open-webui`. */
  name: string;
  /** What it is, for the help. */
  about: string;
  /** The prompt of a record, where a file has a record for each response: those that follow each other under one prompt are one. */
  promptOf?(record: Record<string, unknown>): string | null;
  /** What a record gives, with those behind it that belong to it. Throws `NoRow` where it gives nothing. */
  rowsOf(record: Record<string, unknown>, more: readonly Record<string, unknown>[]): (ImportedRow | NoRow)[];
}

/** Why a part of a record is no row. */
export class NoRow extends Error {
  readonly problem: string;
  constructor(problem: string, detail: string) {
    super(detail);
    this.problem = problem;
  }
}

/** A text that says something, of a field. */
export function textOf(value: unknown, field: string): string {
  if (typeof value === 'string' && value.trim() !== '') return value;
  throw new NoRow('no text', `field "${field}" is ${shown(value)}, it must be a text`);
}

export function listOf(value: unknown, field: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw new NoRow('not of the form', `field "${field}" is ${shown(value)}, it must be a list`);
}

export function objectOf(value: unknown, field: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new NoRow('not of the form', `field "${field}" is ${shown(value)}, it must be an object`);
}
