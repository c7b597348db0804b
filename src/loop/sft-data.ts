/** @file The conversations of a supervised fine-tuning: read, rendered, cut, counted and packed into trees, before step 1. */
import { basename } from 'node:path';
import type { DataRecord } from '../data/formats/record.ts';
import { readNamedRecords } from '../data/known-forms.ts';
import { labelledFields, labelledRowsOf, type ParsedLabelledRows } from '../data/label-rows.ts';
import { badRowError } from '../data/read.ts';
import { type SupervisedRow, supervisedFields, supervisedRowOf } from '../data/supervised-rows.ts';
import { DataError } from '../errors.ts';
import { advisedDesirableWeight } from '../objective/labels.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import { scoredTokens, type TokenTree } from '../score/trees.ts';
import { messageText } from '../text/message.ts';
import { type PromptReading, promptReading } from '../text/reading.ts';
import type { Message } from '../text/rendering.ts';
import {
  type RenderedConversation,
  readConversation,
  renderConversations,
  truncateScored,
} from '../text/supervised.ts';
import type { Tokenizer } from '../text/tokenizer/tokenizer.ts';
import { buildConversationTree, conversationTokens } from '../train/supervised.ts';

/** A conversation to learn from; with a label where the objective learns from labels. */
export type ConversationTree = TokenTree & { desirable?: boolean };

export interface Conversations {
  trees: ConversationTree[];
  /** What was read, used and left out, as text. */
  audit: string;
}

interface SftAudit {
  read: number;
  used: number;
  dropped: Map<string, number>;
  /** Rows whose prompt is a text. */
  texts: number;
  /** Sequences with either label. */
  desirable: number;
  undesirable: number;
  /** Turns of the assistant that are learned. */
  turns: number;
  emptyTurns: number;
  /** Turns that the chat template writes otherwise. */
  changed: number;
  /** Rows whose earlier turns lose their reasoning. */
  earlierReasoning: number;
  /** Sequences beyond one a row: turns that the template writes otherwise once they are history. */
  apart: number;
  truncated: number;
  /** Sequences of which the cut left nothing to learn. */
  nothingLeft: number;
  tokens: number;
  scored: number;
  longestRow: { tokens: number; source: string } | null;
}

/** A row, with its label where it has one. */
type Row = SupervisedRow & { desirable?: boolean };
type ParsedRows = { kind: 'rows'; rows: Row[] } | Extract<ParsedLabelledRows, { kind: 'problem' }>;

/** How the rows of an objective are read. */
interface Reader {
  fieldsOf(available: readonly string[]): string[];
  rowsOf(record: DataRecord): ParsedRows;
}

const READERS: Readonly<Record<SftRecipe['objective']['kind'], Reader>> = {
  likelihood: {
    fieldsOf: supervisedFields,
    rowsOf(record) {
      const parsed = supervisedRowOf(record);
      return parsed.kind === 'row' ? { kind: 'rows', rows: [parsed.row] } : parsed;
    },
  },
  kto: { fieldsOf: labelledFields, rowsOf: labelledRowsOf },
};

/** Rows rendered at once: speed and memory, never the result. */
const BATCH_ROWS = 256;

/** Reads and counts all rows. DataError for a bad row under `stop`, and where nothing is left to learn from. */
export async function loadConversations(recipe: SftRecipe, tokenizer: Tokenizer): Promise<Conversations> {
  const { train, limit, onBadRow, columns } = recipe.data;
  const audit: SftAudit = {
    read: 0,
    used: 0,
    dropped: new Map(),
    texts: 0,
    desirable: 0,
    undesirable: 0,
    turns: 0,
    changed: 0,
    earlierReasoning: 0,
    emptyTurns: 0,
    apart: 0,
    truncated: 0,
    nothingLeft: 0,
    tokens: 0,
    scored: 0,
    longestRow: null,
  };
  const trees: ConversationTree[] = [];
  let batch: Row[] = [];
  const reader = READERS[recipe.objective.kind];
  const reading = promptReading(recipe.text.prompts, tokenizer);
  const leaveOut = (problem: Extract<ParsedRows, { kind: 'problem' }>): void => {
    if (onBadRow === 'stop') throw badRowError(problem);
    audit.dropped.set(problem.problem, (audit.dropped.get(problem.problem) ?? 0) + 1);
  };
  const renderBatch = (): void => {
    const { maxLength } = recipe.text;
    const conversations = batch.map(({ conversation }) => readConversation(conversation, reading));
    const rendered = renderConversations(tokenizer, conversations);
    for (const [i, row] of batch.entries()) {
      const own = rendered[i];
      if (own?.kind === 'fault') leaveOut({ kind: 'problem', ...own.fault, source: row.source });
      else if (own !== undefined && (limit === null || audit.used < limit))
        trees.push(...treesOf(row, { rendered: own, maxLength, audit }));
    }
    batch = [];
  };
  for await (const record of readNamedRecords(train, reader.fieldsOf, columns)) {
    if (limit !== null && audit.used + batch.length >= limit) renderBatch();
    if (limit !== null && audit.used >= limit) break;
    audit.read += 1;
    const parsed = reader.rowsOf(record);
    if (parsed.kind === 'problem') {
      leaveOut(parsed);
      continue;
    }
    audit.texts += parsed.rows.some(({ conversation }) => conversation.kind === 'text') ? 1 : 0;
    batch.push(...parsed.rows);
    if (batch.length >= BATCH_ROWS) renderBatch();
  }
  renderBatch();
  const text = [formatSftAudit(audit, reading), ...labelLines(audit, recipe.objective)].join('\n');
  if (trees.length === 0) {
    throw new DataError(
      'DATA_EMPTY',
      `Cannot fine-tune on ${train.join(', ')}: no row has a token to learn from:\n${text}\nGive rows with a turn of the assistant, or raise text.maxLength`,
      { details: { files: train } },
    );
  }
  return { trees, audit: text };
}

/** Trees of one row, cut to fit; they are named by the row's place, so that an error can name it. */
function treesOf(
  { conversation, source, desirable }: Row,
  options: { rendered: Extract<RenderedConversation, { kind: 'sequences' }>; maxLength: number; audit: SftAudit },
): ConversationTree[] {
  const { rendered, maxLength, audit } = options;
  const learned =
    conversation.kind === 'text'
      ? [conversation.completion]
      : conversation.messages.slice(conversation.from).filter(isAssistant).map(messageText);
  audit.used += 1;
  audit.turns += learned.length;
  audit.emptyTurns += learned.filter((text) => text.trim() === '').length;
  audit.changed += rendered.changes.filter((change) => change !== 'none').length;
  audit.earlierReasoning += rendered.omissions.earlierReasoning ? 1 : 0;
  audit.apart += rendered.sequences.length - 1;
  return rendered.sequences.flatMap((sequence, index) => {
    const tokens = sequence.ids.length;
    if (tokens > (audit.longestRow?.tokens ?? 0))
      audit.longestRow = { tokens, source: `${source.file}:${source.line}` };
    if (tokens > maxLength) audit.truncated += 1;
    const cut = truncateScored(sequence, maxLength);
    // The rejected response of a pair is of the same row as the chosen one.
    const part = desirable === false ? '-' : index === 0 ? '' : `#${index + 1}`;
    const name = `${basename(source.file)}:${source.line}${part}`;
    const tree = cut === null ? null : buildConversationTree(name, cut);
    if (tree === null) {
      audit.nothingLeft += 1;
      return [];
    }
    audit.tokens += conversationTokens(tree);
    audit.scored += scoredTokens(tree, 0);
    if (desirable === undefined) return [tree];
    audit[desirable ? 'desirable' : 'undesirable'] += 1;
    return [{ ...tree, desirable }];
  });
}

function isAssistant({ role }: Message): boolean {
  return role === 'assistant';
}

/** How many labels there are of each kind, and which weight would make both count alike. */
function labelLines({ desirable, undesirable }: SftAudit, objective: SftRecipe['objective']): string[] {
  if (objective.kind !== 'kto') return [];
  const labels = `Labels: ${desirable} good, ${undesirable} bad`;
  if (desirable === 0 || undesirable === 0) return [`${labels}: all are alike, so there is nothing to tell apart`];
  const { from, to } = advisedDesirableWeight({ desirable, undesirable }, objective.undesirableWeight);
  const isInside = objective.desirableWeight >= from && objective.desirableWeight <= to;
  const advice = `; objective.desirableWeight is ${objective.desirableWeight}, the paper advises ${from.toPrecision(3)} to ${to.toPrecision(3)} for these`;
  return [`${labels}${isInside ? '' : advice}`];
}

function formatSftAudit(audit: SftAudit, reading: PromptReading): string {
  const reasons = [...audit.dropped].map(([reason, count]) => `${count} ${reason}`).join(', ');
  const lines = [
    `Rows: ${audit.read} read, ${audit.used} used, ${audit.read - audit.used} dropped${reasons === '' ? '' : `: ${reasons}`}`,
    `Prompts: ${audit.texts} texts read as ${reading === 'chat' ? "user's messages" : 'raw texts'} (text.prompts: ${reading})`,
    `Turns of the assistant: ${audit.turns}, ${audit.emptyTurns} of them empty, ${audit.changed} written otherwise by the chat template; ${audit.apart} sequences for turns that stand alone; reasoning of earlier turns left out in ${audit.earlierReasoning} rows`,
    `Truncations: ${audit.truncated} sequences, ${audit.nothingLeft} of them left out with nothing to learn`,
    `Tokens: ${audit.tokens}, of which ${audit.scored} are learned`,
  ];
  if (audit.longestRow !== null)
    lines.push(`Longest sequence: ${audit.longestRow.tokens} tokens, ${audit.longestRow.source}`);
  return lines.join('\n');
}
