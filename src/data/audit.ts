/**
 * @file The audit, before the first step: what was read, what is used, what is left out and why, what will be cut, and
 * what the chat template changes. Rows stream by and none is kept, so its memory does not grow with the data.
 */
import { isRenderingProblem } from '../text/fault.ts';
import type { PromptReading } from '../text/reading.ts';
import { type ModelReading, type ModelRow, type RowFault, rowName, rowsForModel } from './model-rows.ts';
import type { ParsedRow } from './rows.ts';
import { type UsableOptions, usableRows } from './usable.ts';

export interface DataAudit {
  read: number;
  used: number;
  /** Rows that are used, by source, where there are several. */
  usedOf: ReadonlyMap<string, number>;
  /** Rows left out, by reason. */
  dropped: ReadonlyMap<string, number>;
  /** Those of them that the chat template cannot write, or that became equal pairs, by their place. */
  unrenderable: ReadonlyMap<string, RowFault>;
  /** How prompts that are texts were read. */
  reading: PromptReading;
  /** Rows whose prompt is a text in the file. */
  textPrompts: number;
  /** Rows whose prompt ends in the assistant's own words, which the response goes on with. */
  continuedPrompts: number;
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
  /** Responses that the chat template writes otherwise, and those of them that differ in outer white space alone. */
  changedResponses: number;
  trimmedResponses: number;
  /** Messages of prompts that the chat template writes otherwise. */
  changedMessages: number;
  /** Rows whose earlier turns lose their reasoning, as the template has it. */
  earlierReasoning: number;
  /** Rows by field that nothing is made of. */
  unusedFields: ReadonlyMap<string, number>;
  /** Rows by field of their messages that the chat template does not mention. */
  unusedMessageFields: ReadonlyMap<string, number>;
  /** Null where no tokenizer counted. */
  longestRow: { promptId: string; tokens: number; source: string } | null;
}

export interface AuditOptions extends UsableOptions, ModelReading {
  /** Hears of every row that is left out. */
  dropped?: ((fault: RowFault) => void) | undefined;
  /** Told now and then how many rows were read. */
  progress?: ((read: number) => void) | undefined;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends ReadonlyMap<infer A, infer B> ? Map<A, B> : T[K] };

/** Rows between two calls of `progress`. */
const PROGRESS_ROWS = 64;

/** Reads all rows and counts. Under `stop` the first bad row is a DataError. */
export async function auditRows(rows: AsyncIterable<ParsedRow>, options: AuditOptions): Promise<DataAudit> {
  const audit = emptyAudit(options.prompts);
  const usable = usableRows(rowsForModel(rows, options), options, {
    read: () => {
      audit.read += 1;
      if (audit.read % PROGRESS_ROWS === 0) options.progress?.(audit.read);
    },
    repeated: () => {
      audit.repeatedPrompts += 1;
    },
    dropped: (fault) => {
      options.dropped?.(fault);
      add(audit.dropped, fault.problem);
      if (fault.problem.startsWith('chosen equals rejected')) audit.equalPairs += 1;
      if (isRenderingProblem(fault.problem)) audit.unrenderable.set(rowName(fault), fault);
    },
  });
  for await (const row of usable) count(audit, row);
  options.progress?.(audit.read);
  return audit;
}

function emptyAudit(reading: PromptReading): Mutable<DataAudit> {
  return {
    read: 0,
    used: 0,
    usedOf: new Map(),
    dropped: new Map(),
    unrenderable: new Map(),
    reading,
    textPrompts: 0,
    continuedPrompts: 0,
    promptsAlone: 0,
    multiTurn: 0,
    repeatedPrompts: 0,
    equalPairs: 0,
    emptyResponses: 0,
    truncatedPrompts: 0,
    truncatedResponses: 0,
    missingEnd: 0,
    changedResponses: 0,
    trimmedResponses: 0,
    changedMessages: 0,
    earlierReasoning: 0,
    unusedFields: new Map(),
    unusedMessageFields: new Map(),
    longestRow: null,
  };
}

function add(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function count(audit: Mutable<DataAudit>, row: ModelRow): void {
  const { prompt, measure } = row;
  const responses = [row.chosen, row.rejected].filter((each) => each !== null);
  const tokens = measure.prompt + Math.max(0, ...measure.responses);
  audit.used += 1;
  if (row.dataset !== undefined) add(audit.usedOf, row.dataset);
  if (row.given === 'text') audit.textPrompts += 1;
  if (prompt.kind === 'chat' && prompt.messages.length > 1) audit.multiTurn += 1;
  if (prompt.kind === 'chat' && prompt.messages.at(-1)?.role === 'assistant') audit.continuedPrompts += 1;
  if (responses.length === 0) audit.promptsAlone += 1;
  if (responses.some((each) => each.trim() === '')) audit.emptyResponses += 1;
  if (measure.promptCut) audit.truncatedPrompts += 1;
  audit.truncatedResponses += measure.responsesCut;
  if (measure.missingEnd) audit.missingEnd += 1;
  audit.changedResponses += measure.changes.filter((change) => change !== 'none').length;
  audit.trimmedResponses += measure.changes.filter((change) => change === 'space').length;
  audit.changedMessages += measure.omissions.changedMessages;
  if (measure.omissions.earlierReasoning) audit.earlierReasoning += 1;
  for (const name of row.unusedFields) add(audit.unusedFields, name);
  for (const name of measure.omissions.unusedFields) add(audit.unusedMessageFields, name);
  if (tokens > (audit.longestRow?.tokens ?? 0)) {
    audit.longestRow = { promptId: row.promptId, tokens, source: rowName(row) };
  }
}

/** The audit as lines for a terminal. */
export function formatAudit(audit: DataAudit): string {
  const reasons = [...audit.dropped].map(([reason, count]) => `${count} ${reason}`).join(', ');
  const droppedCount = audit.read - audit.used;
  const lines = [
    `Rows: ${audit.read} read, ${audit.used} used (${audit.promptsAlone} prompts alone, ${audit.multiTurn} with several messages, ${audit.repeatedPrompts} with a prompt read before), ${droppedCount} dropped${reasons === '' ? '' : `: ${reasons}`}`,
    ...(audit.longestRow === null ? formatUnmeasured(audit) : formatMeasured(audit)),
    ...formatTemplate(audit),
    ...formatUnused('Fields not used', audit.unusedFields),
    ...formatUnused('Fields of messages that the chat template does not mention', audit.unusedMessageFields),
  ];
  if (audit.longestRow !== null)
    lines.push(`Longest row: ${audit.longestRow.tokens} tokens, ${audit.longestRow.source}`);
  return lines.join('\n');
}

function formatMeasured(audit: DataAudit): string[] {
  return [
    `Prompts: ${formatReading(audit)}`,
    `Truncations: ${audit.truncatedPrompts} prompts, ${audit.truncatedResponses} responses; equal pairs: ${audit.equalPairs}; empty responses: ${audit.emptyResponses}; missing end tokens: ${audit.missingEnd}`,
  ];
}

/** Without a model nobody knows how texts are read, nor how long anything is. */
function formatUnmeasured({ used, textPrompts, equalPairs, emptyResponses }: DataAudit): string[] {
  return [
    `Prompts: ${used - textPrompts} conversations, ${textPrompts} texts; equal pairs: ${equalPairs}; empty responses: ${emptyResponses}; lengths are not known without a model`,
  ];
}

/** In which way the prompts of the used rows were read. */
export function formatReading({
  used,
  textPrompts,
  continuedPrompts,
  reading,
}: Pick<DataAudit, 'used' | 'textPrompts' | 'continuedPrompts' | 'reading'>): string {
  const way = reading === 'chat' ? "user's messages" : 'raw texts';
  const ends =
    continuedPrompts === 0
      ? ''
      : `, ${continuedPrompts} that end in the assistant's words, which the response continues`;
  return `${used - textPrompts} conversations, ${textPrompts} texts read as ${way} (text.prompts: ${reading})${ends}`;
}

function formatTemplate(audit: DataAudit): string[] {
  const { changedResponses, trimmedResponses, changedMessages, earlierReasoning } = audit;
  if (changedResponses + changedMessages + earlierReasoning === 0) return [];
  return [
    `The chat template writes otherwise: ${changedResponses} responses (${trimmedResponses} of them but for white space around them alike), ${changedMessages} messages of prompts; it leaves out the reasoning of earlier turns in ${earlierReasoning} rows`,
  ];
}

function formatUnused(title: string, fields: ReadonlyMap<string, number>): string[] {
  if (fields.size === 0) return [];
  return [`${title}: ${[...fields].map(([name, count]) => `${name} (${count} rows)`).join(', ')}`];
}
