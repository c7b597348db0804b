/** @file The conversations of a supervised fine-tuning: read, rendered, cut, counted and packed into trees, before step 1. */
import { basename } from 'node:path';
import { badRowError, readRecords } from '../data/read.ts';
import { type SupervisedRow, supervisedFields, supervisedRowOf } from '../data/supervised-rows.ts';
import { DataError } from '../errors.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import { scoredTokens, type TokenTree } from '../score/trees.ts';
import { renderConversations, truncateScored } from '../text/supervised.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { buildConversationTree, conversationTokens } from '../train/supervised.ts';

export interface Conversations {
  trees: TokenTree[];
  /** What was read, used and left out, as text. */
  audit: string;
}

interface SftAudit {
  read: number;
  used: number;
  dropped: Map<string, number>;
  /** Turns of the assistant that are learned. */
  turns: number;
  emptyTurns: number;
  /** Sequences beyond one a row: turns that the template writes otherwise once they are history. */
  apart: number;
  truncated: number;
  /** Sequences of which the cut left nothing to learn. */
  nothingLeft: number;
  tokens: number;
  scored: number;
  longestRow: { tokens: number; source: string } | null;
}

/** Rows rendered at once: speed and memory, never the result. */
const BATCH_ROWS = 256;

/** Reads and counts all rows. DataError for a bad row under `stop`, and where nothing is left to learn from. */
export async function loadConversations(recipe: SftRecipe, tokenizer: Tokenizer): Promise<Conversations> {
  const { train, limit, onBadRow } = recipe.data;
  const audit: SftAudit = {
    read: 0,
    used: 0,
    dropped: new Map(),
    turns: 0,
    emptyTurns: 0,
    apart: 0,
    truncated: 0,
    nothingLeft: 0,
    tokens: 0,
    scored: 0,
    longestRow: null,
  };
  const trees: TokenTree[] = [];
  let batch: SupervisedRow[] = [];
  const renderBatch = (): void => {
    const { maxLength } = recipe.text;
    const rendered = renderConversations(
      tokenizer,
      batch.map(({ conversation }) => conversation),
    );
    for (const [i, row] of batch.entries())
      trees.push(...treesOf(row, { rendered: rendered[i] ?? [], maxLength, audit }));
    batch = [];
  };
  for await (const record of readRecords(train, supervisedFields)) {
    if (limit !== null && audit.used >= limit) break;
    audit.read += 1;
    const parsed = supervisedRowOf(record);
    if (parsed.kind === 'problem') {
      if (onBadRow === 'stop') throw badRowError(parsed);
      audit.dropped.set(parsed.problem, (audit.dropped.get(parsed.problem) ?? 0) + 1);
      continue;
    }
    audit.used += 1;
    batch.push(parsed.row);
    if (batch.length >= BATCH_ROWS) renderBatch();
  }
  renderBatch();
  const text = formatSftAudit(audit);
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
  { conversation, source }: SupervisedRow,
  options: { rendered: ReturnType<typeof renderConversations>[number]; maxLength: number; audit: SftAudit },
): TokenTree[] {
  const { rendered, maxLength, audit } = options;
  const learned =
    conversation.kind === 'text'
      ? [conversation.completion]
      : conversation.messages.flatMap(({ role, content }, index) =>
          role === 'assistant' && index >= conversation.from ? [content] : [],
        );
  audit.turns += learned.length;
  audit.emptyTurns += learned.filter((text) => text.trim() === '').length;
  audit.apart += rendered.length - 1;
  return rendered.flatMap((sequence, index) => {
    const tokens = sequence.ids.length;
    if (tokens > (audit.longestRow?.tokens ?? 0))
      audit.longestRow = { tokens, source: `${source.file}:${source.line}` };
    if (tokens > maxLength) audit.truncated += 1;
    const cut = truncateScored(sequence, maxLength);
    const name = `${basename(source.file)}:${source.line}${index === 0 ? '' : `#${index + 1}`}`;
    const tree = cut === null ? null : buildConversationTree(name, cut);
    if (tree === null) {
      audit.nothingLeft += 1;
      return [];
    }
    audit.tokens += conversationTokens(tree);
    audit.scored += scoredTokens(tree, 0);
    return [tree];
  });
}

function formatSftAudit(audit: SftAudit): string {
  const reasons = [...audit.dropped].map(([reason, count]) => `${count} ${reason}`).join(', ');
  const lines = [
    `Rows: ${audit.read} read, ${audit.used} used, ${audit.read - audit.used} dropped${reasons === '' ? '' : `: ${reasons}`}`,
    `Turns of the assistant: ${audit.turns}, ${audit.emptyTurns} of them empty; ${audit.apart} sequences for turns that stand alone`,
    `Truncations: ${audit.truncated} sequences, ${audit.nothingLeft} of them left out with nothing to learn`,
    `Tokens: ${audit.tokens}, of which ${audit.scored} are learned`,
  ];
  if (audit.longestRow !== null)
    lines.push(`Longest sequence: ${audit.longestRow.tokens} tokens, ${audit.longestRow.source}`);
  return lines.join('\n');
}
