/**
 * @file Rows as a model reads them: texts as messages of the user where the model has a chat template, and every row measured
 * with its tokenizer. A row that the chat template cannot write becomes one that cannot be used, with its field.
 */

import { type PromptReading, readPrompt } from '../text/reading.ts';
import type { Measured, MeasuredText, RowMeasure } from '../text/rendering.ts';
import { type ParsedRow, type PreferenceRow, responsesOf } from './rows.ts';

/** A row under the reading of its prompt, and what it becomes in tokens. */
export interface ModelRow extends PreferenceRow {
  measure: RowMeasure;
  /** What its prompt is in the file. */
  given: 'text' | 'conversation';
  unusedFields: readonly string[];
}

/** How rows are read for a model. */
export interface ModelReading {
  /** How prompts that are texts are read. */
  prompts: PromptReading;
  /** Measures several rows at once, in their order; the caller has the tokenizer. */
  measure: (rows: readonly MeasuredText[]) => readonly Measured[];
}

/** Rows measured at once, and the characters at which a batch is full before: speed and memory, never the result. */
const BATCH_ROWS = 64;
const BATCH_CHARACTERS = 250_000;

/** Streams the rows with what they become, a batch at a time, in their order. */
export async function* rowsForModel(
  rows: AsyncIterable<ParsedRow>,
  reading: ModelReading,
): AsyncGenerator<ParsedRow<ModelRow>> {
  let batch: ParsedRow[] = [];
  let characters = 0;
  for await (const parsed of rows) {
    batch.push(parsed);
    characters += parsed.kind === 'row' ? charactersOf(parsed.row) : 0;
    if (batch.length < BATCH_ROWS && characters < BATCH_CHARACTERS) continue;
    yield* measured(batch, reading);
    batch = [];
    characters = 0;
  }
  yield* measured(batch, reading);
}

function* measured(batch: readonly ParsedRow[], { prompts, measure }: ModelReading): Generator<ParsedRow<ModelRow>> {
  const texts = batch.flatMap((parsed) =>
    parsed.kind === 'row'
      ? [{ prompt: readPrompt(parsed.row.prompt, prompts), responses: responsesOf(parsed.row) }]
      : [],
  );
  const measures = measure(texts).values();
  for (const parsed of batch)
    yield parsed.kind === 'problem' ? parsed : modelRow(parsed, prompts, measures.next().value);
}

function modelRow(
  { row, unusedFields = [] }: Extract<ParsedRow, { kind: 'row' }>,
  reading: PromptReading,
  measured: Measured | undefined,
): ParsedRow<ModelRow> {
  if (measured === undefined) throw new Error('Every row must be measured');
  if (measured.kind === 'fault') return { kind: 'problem', ...measured.fault, source: row.source };
  const given = row.prompt.kind === 'text' ? 'text' : 'conversation';
  const prompt = readPrompt(row.prompt, reading);
  return { kind: 'row', row: { ...row, prompt, measure: measured.measure, given, unusedFields } };
}

/**
 * Streams rows as the audit found them, without measuring them again.
 * @param unrenderable names of the rows that the audit could not render (rowName)
 */
export async function* rowsAsAudited(
  rows: AsyncIterable<ParsedRow>,
  { prompts, unrenderable }: { prompts: PromptReading; unrenderable: ReadonlyMap<string, RowFault> },
): AsyncGenerator<ParsedRow> {
  for await (const parsed of rows) {
    if (parsed.kind === 'problem') yield parsed;
    else yield unrenderable.get(rowName(parsed.row)) ?? asRead(parsed.row, prompts);
  }
}

/** A row that could not be rendered. */
export type RowFault = Extract<ParsedRow, { kind: 'problem' }>;

/** Names a row by its place. */
export function rowName({ source: { file, line } }: Pick<PreferenceRow, 'source'>): string {
  return `${file}:${line}`;
}

function asRead(row: PreferenceRow, prompts: PromptReading): ParsedRow {
  return { kind: 'row', row: { ...row, prompt: readPrompt(row.prompt, prompts) } };
}

/** Rows without their responses, for whoever only asks the prompts. */
export async function* promptsAlone(rows: AsyncIterable<ParsedRow>): AsyncGenerator<ParsedRow> {
  for await (const parsed of rows) {
    if (parsed.kind === 'problem') yield parsed;
    else {
      const { promptId, prompt, source } = parsed.row;
      yield { kind: 'row', row: { promptId, prompt, chosen: null, rejected: null, source } };
    }
  }
}

/** Characters of a row, about. */
function charactersOf({ prompt, chosen, rejected }: PreferenceRow): number {
  const before =
    prompt.kind === 'text'
      ? prompt.text.length
      : prompt.messages.reduce((sum, { content }) => sum + (content?.length ?? 0), 0);
  return before + (chosen?.length ?? 0) + (rejected?.length ?? 0);
}
