/**
 * @file The audit: what was read, what is used, what is left out and why, and what will be cut, before the first step.
 * Rows stream by, a batch at a time, and none is kept: its memory does not grow with the data.
 */
import type { MeasuredText, RowMeasure } from '../text/rendering.ts';
import type { ParsedRow, PreferenceRow } from './rows.ts';
import { type UsableOptions, usableRows } from './usable.ts';

export interface DataAudit {
  read: number;
  used: number;
  /** Rows left out, by reason. */
  dropped: ReadonlyMap<string, number>;
  /** Rows that are prompts alone. */
  promptsAlone: number;
  multiTurn: number;
  /** Rows whose prompt was read before; they are used under ids of their own. */
  repeatedPrompts: number;
  equalPairs: number;
  /** Pairs of which one text is empty: usable, but look at them. */
  emptyResponses: number;
  truncatedPrompts: number;
  truncatedResponses: number;
  missingEnd: number;
  longestRow: { promptId: string; tokens: number; source: string } | null;
}

export interface AuditOptions extends UsableOptions {
  /** Counts the tokens of several rows at once, in their order; the caller has the tokenizer. */
  measure: (rows: readonly MeasuredText[]) => readonly RowMeasure[];
  /** Told after every batch how many rows were read. */
  progress?: ((read: number) => void) | undefined;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Rows measured at once, and the characters at which a batch is full before: speed and memory, never the result. */
const BATCH_ROWS = 64;
const BATCH_CHARACTERS = 250_000;

/** Reads all rows and counts. Under `stop` the first bad row is a DataError. */
export async function auditRows(rows: AsyncIterable<ParsedRow>, options: AuditOptions): Promise<DataAudit> {
  const dropped = new Map<string, number>();
  const audit: Mutable<DataAudit> = {
    read: 0,
    used: 0,
    dropped,
    promptsAlone: 0,
    multiTurn: 0,
    repeatedPrompts: 0,
    equalPairs: 0,
    emptyResponses: 0,
    truncatedPrompts: 0,
    truncatedResponses: 0,
    missingEnd: 0,
    longestRow: null,
  };
  let batch: PreferenceRow[] = [];
  let characters = 0;
  const measureBatch = (): void => {
    const texts = batch.map(({ prompt, chosen, rejected }) => ({
      prompt,
      responses: [chosen, rejected].filter((text) => text !== null),
    }));
    const tokens = options.measure(texts);
    for (const [i, row] of batch.entries()) count(audit, row, tokens[i]);
    batch = [];
    characters = 0;
    options.progress?.(audit.read);
  };
  const usable = usableRows(rows, options, {
    read: () => {
      audit.read += 1;
    },
    repeated: () => {
      audit.repeatedPrompts += 1;
    },
    dropped: ({ problem }) => {
      dropped.set(problem, (dropped.get(problem) ?? 0) + 1);
      if (problem === 'chosen equals rejected') audit.equalPairs += 1;
    },
  });
  for await (const row of usable) {
    audit.used += 1;
    batch.push(row);
    characters += charactersOf(row);
    if (batch.length >= BATCH_ROWS || characters >= BATCH_CHARACTERS) measureBatch();
  }
  measureBatch();
  return audit;
}

function charactersOf({ prompt, chosen, rejected }: PreferenceRow): number {
  const before =
    prompt.kind === 'text' ? prompt.text.length : prompt.messages.reduce((sum, { content }) => sum + content.length, 0);
  return before + (chosen?.length ?? 0) + (rejected?.length ?? 0);
}

function count(audit: Mutable<DataAudit>, row: PreferenceRow, tokens: RowMeasure | undefined): void {
  if (tokens === undefined) throw new Error('Every row must be measured');
  const responses = [row.chosen, row.rejected].filter((each) => each !== null);
  const longest = tokens.prompt + Math.max(0, ...tokens.responses);
  if (responses.length === 0) audit.promptsAlone += 1;
  if (row.prompt.kind === 'chat' && row.prompt.messages.length > 1) audit.multiTurn += 1;
  if (responses.some((each) => each.trim() === '')) audit.emptyResponses += 1;
  if (tokens.promptCut) audit.truncatedPrompts += 1;
  audit.truncatedResponses += tokens.responsesCut;
  if (tokens.missingEnd) audit.missingEnd += 1;
  if (longest > (audit.longestRow?.tokens ?? 0)) {
    audit.longestRow = { promptId: row.promptId, tokens: longest, source: `${row.source.file}:${row.source.line}` };
  }
}

/** The audit as lines for a terminal. */
export function formatAudit(audit: DataAudit): string {
  const reasons = [...audit.dropped].map(([reason, count]) => `${count} ${reason}`).join(', ');
  const droppedCount = audit.read - audit.used;
  const lines = [
    `Rows: ${audit.read} read, ${audit.used} used (${audit.promptsAlone} prompts alone, ${audit.multiTurn} with several messages, ${audit.repeatedPrompts} with a prompt read before), ${droppedCount} dropped${reasons === '' ? '' : `: ${reasons}`}`,
    `Truncations: ${audit.truncatedPrompts} prompts, ${audit.truncatedResponses} responses; equal pairs: ${audit.equalPairs}; empty responses: ${audit.emptyResponses}; missing end tokens: ${audit.missingEnd}`,
  ];
  if (audit.longestRow !== null)
    lines.push(`Longest row: ${audit.longestRow.tokens} tokens, ${audit.longestRow.source}`);
  return lines.join('\n');
}
