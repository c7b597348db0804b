/**
 * @file The audit: what was read, what is used, what is left out and why, and what will be cut, before the first step.
 * Token counts are taken as rows stream by; ids are not kept.
 */
import type { Prompt, RowMeasure } from '../text/rendering.ts';
import { type BadRowRule, badRowError } from './read.ts';
import type { ParsedRow, PreferenceRow } from './rows.ts';

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

export interface AuditOptions {
  onBadRow: BadRowRule;
  limit: number | null;
  /** Counts the tokens of a row; the caller has the tokenizer. */
  measure: (prompt: Prompt, responses: readonly string[]) => RowMeasure;
}

/** Reads all rows, keeps the usable ones, and counts. Under `stop` the first bad row is a DataError. */
export async function auditRows(
  rows: AsyncIterable<ParsedRow>,
  options: AuditOptions,
): Promise<{ rows: PreferenceRow[]; audit: DataAudit }> {
  const kept: PreferenceRow[] = [];
  const seen = new Map<string, number>();
  const dropped = new Map<string, number>();
  const audit = {
    read: 0,
    promptsAlone: 0,
    repeatedPrompts: 0,
    multiTurn: 0,
    equalPairs: 0,
    emptyResponses: 0,
    truncatedPrompts: 0,
    truncatedResponses: 0,
    missingEnd: 0,
    longestRow: null as DataAudit['longestRow'],
  };
  const drop = (parsed: Extract<ParsedRow, { kind: 'problem' }>): void => {
    if (options.onBadRow === 'stop') throw badRowError(parsed);
    dropped.set(parsed.problem, (dropped.get(parsed.problem) ?? 0) + 1);
    if (parsed.problem === 'chosen equals rejected') audit.equalPairs += 1;
  };
  for await (const parsed of rows) {
    if (options.limit !== null && kept.length >= options.limit) break;
    audit.read += 1;
    if (parsed.kind === 'problem') {
      drop(parsed);
      continue;
    }
    // Responses are kept by prompt id: a prompt that comes again gets an id of its own.
    const { promptId } = parsed.row;
    const times = (seen.get(promptId) ?? 0) + 1;
    seen.set(promptId, times);
    if (times > 1) audit.repeatedPrompts += 1;
    const row = times === 1 ? parsed.row : { ...parsed.row, promptId: `${promptId}#${times}` };
    kept.push(row);
    count(audit, row, options);
  }
  return { rows: kept, audit: { ...audit, used: kept.length, dropped } };
}

function count(audit: Omit<Mutable<DataAudit>, 'used' | 'dropped'>, row: PreferenceRow, options: AuditOptions): void {
  const responses = [row.chosen, row.rejected].filter((text) => text !== null);
  const tokens = options.measure(row.prompt, responses);
  const longest = tokens.prompt + Math.max(0, ...tokens.responses);
  if (responses.length === 0) audit.promptsAlone += 1;
  if (row.prompt.kind === 'chat' && row.prompt.messages.length > 1) audit.multiTurn += 1;
  if (responses.some((text) => text.trim() === '')) audit.emptyResponses += 1;
  if (tokens.promptCut) audit.truncatedPrompts += 1;
  audit.truncatedResponses += tokens.responsesCut;
  if (tokens.missingEnd) audit.missingEnd += 1;
  if (longest > (audit.longestRow?.tokens ?? 0)) {
    audit.longestRow = { promptId: row.promptId, tokens: longest, source: `${row.source.file}:${row.source.line}` };
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

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
