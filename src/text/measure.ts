/** @file What a row becomes under a rendering, counted for the audit: lengths, cuts, changes, and rows that cannot be rendered. */
import { TextError } from '../errors.ts';
import { messageOf, type Prompt, type Response } from './conversation.ts';
import { faultOf, type RenderingFault } from './fault.ts';
import { type Change, openText } from './frame.ts';
import { saysMore } from './message.ts';
import {
  countCuts,
  cutSamplingPrompt,
  type FittedSequence,
  fittedSequences,
  type Prepared,
  prepare,
  type Rendering,
  renderPrompts,
  scoresTheSame,
  type TextSettings,
} from './sequences.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';
import { checkWritten, type Omissions } from './written.ts';

/** Lengths of a row before it is cut, what will be cut, and what its rendering changes, for the audit. */
export interface RowMeasure {
  prompt: number;
  responses: number[];
  promptCut: boolean;
  responsesCut: number;
  /** A response that does not end with an end token although it was not cut. */
  missingEnd: boolean;
  /** What the template made of each response's text. */
  changes: Change[];
  omissions: Omissions;
}

/** What is to be measured of a row: its prompt, and chosen and rejected; none for a prompt alone. */
export interface MeasuredText {
  prompt: Prompt;
  responses: readonly Response[];
}

/** A row that can be rendered, or why it cannot. */
export type Measured = { kind: 'measure'; measure: RowMeasure } | { kind: 'fault'; fault: RenderingFault };

/** Measures rows, with one call of the tokenizer for all that is ordinary in them. */
export function measureRows(tokenizer: Tokenizer, rows: readonly MeasuredText[], settings: TextSettings): Measured[] {
  const measured = rows.map((row): Measured | Preparation => {
    try {
      return prepareToMeasure(tokenizer, row, settings.rendering);
    } catch (error) {
      return { kind: 'fault', fault: faultOfRow(error, row) };
    }
  });
  const good = measured.filter((each): each is Preparation => !('kind' in each));
  const pairs = good.filter(({ row }) => row.responses.length > 0);
  const alone = good.filter(({ row }) => row.responses.length === 0);
  const sequences = eachOrFault(pairs, (some) =>
    fittedSequences(
      tokenizer,
      some.map(({ prepared }) => prepared),
      settings,
    ),
  );
  const prompts = eachOrFault(alone, (some) =>
    renderPrompts(
      tokenizer,
      some.map(({ row }) => row.prompt),
      settings.rendering,
    ),
  );
  const found = new Map<Preparation, Measured>([
    ...pairs.map((each, i) => [each, measurePair(tokenizer, sequences[i] ?? [], each.omissions)] as const),
    ...alone.map((each, i) => [each, measurePrompt(tokenizer, prompts[i] ?? [], settings, each.omissions)] as const),
  ]);
  return measured.map((each) => {
    if ('kind' in each) return each;
    const own = found.get(each);
    if (own === undefined) throw new Error('Every row is measured');
    return own;
  });
}

/** What is wrong with a row; an error that is not the row's is thrown on. */
function faultOfRow(error: unknown, { prompt, responses }: MeasuredText): RenderingFault {
  const fault = faultOf(error);
  if (fault !== null) return fault;
  // A template that fails on calls and tools may be made for others: arguments as a text, or as an object.
  const messages = prompt.kind === 'chat' ? [...prompt.messages, ...responses.map(messageOf)] : [];
  const holdsMore = messages.some(saysMore) || (prompt.kind === 'chat' && prompt.tools !== undefined);
  if (holdsMore && error instanceof TextError && error.code === 'TEMPLATE_INVALID')
    return { problem: 'the chat template refuses it', field: 'prompt', detail: error.message };
  throw error;
}

/** A row whose texts are known. */
interface Preparation {
  row: MeasuredText;
  prepared: Prepared;
  omissions: Omissions;
}

const NO_OMISSIONS: Omissions = { earlierReasoning: false, changedMessages: 0, unusedFields: [] };

function prepareToMeasure(tokenizer: Tokenizer, row: MeasuredText, rendering: Rendering): Preparation {
  const prepared = prepare(tokenizer, row, rendering);
  if (row.prompt.kind === 'text') return { row, prepared, omissions: NO_OMISSIONS };
  // Rendered already where a response stands behind it.
  const place = prepared.rendering === 'clean' ? prepared.places[0] : undefined;
  const text = place?.kind === 'text' ? place.before : openText(tokenizer, row.prompt);
  return { row, prepared, omissions: checkWritten(tokenizer, row.prompt, { text, responses: row.responses }) };
}

function measurePair(
  tokenizer: Tokenizer,
  sequences: readonly FittedSequence[] | RenderingFault,
  omissions: Omissions,
): Measured {
  if ('problem' in sequences) return { kind: 'fault', fault: sequences };
  const [chosen, rejected] = sequences;
  if (chosen !== undefined && rejected !== undefined && scoresTheSame(chosen.cut, rejected.cut)) {
    const asRendered = scoresTheSame(chosen.whole, rejected.whole);
    const problem = `chosen equals rejected as ${asRendered ? 'rendered' : 'cut'}` as const;
    const tokens = chosen.cut.responseIds.length;
    const detail = asRendered ? `the chat template writes both alike` : `both begin with the same ${tokens} tokens`;
    return { kind: 'fault', fault: { problem, field: 'rejected', detail } };
  }
  const measure = {
    prompt: Math.max(...sequences.map(({ whole }) => whole.promptIds.length)),
    responses: sequences.map(({ whole }) => whole.responseIds.length),
    missingEnd: sequences.some(({ whole }) => !tokenizer.stopIds.includes(whole.responseIds.at(-1) ?? -1)),
    changes: sequences.map(({ change }) => change),
    omissions,
    ...countCuts(sequences),
  };
  return { kind: 'measure', measure };
}

function measurePrompt(
  tokenizer: Tokenizer,
  promptIds: readonly number[] | RenderingFault,
  settings: TextSettings,
  omissions: Omissions,
): Measured {
  if ('problem' in promptIds) return { kind: 'fault', fault: promptIds };
  const promptCut = cutSamplingPrompt(tokenizer, promptIds, settings).length < promptIds.length;
  const nothing = { responses: [], responsesCut: 0, missingEnd: false, changes: [] };
  return { kind: 'measure', measure: { prompt: promptIds.length, promptCut, omissions, ...nothing } };
}

/** The results of rows, or what is at fault with one where only its ids show that; rows are worked on together. */
function eachOrFault<Row, Result>(
  rows: readonly Row[],
  work: (rows: readonly Row[]) => Result[],
): (Result | RenderingFault | undefined)[] {
  try {
    return work(rows);
  } catch (error) {
    const fault = faultOf(error);
    if (fault === null) throw error;
    return rows.length === 1 ? [fault] : rows.flatMap((row) => eachOrFault([row], work));
  }
}

/** Checks that a prompt can be rendered as what it is. Throws TextError CONVERSATION_UNRENDERABLE naming the field that cannot. */
export function checkPrompt(tokenizer: Tokenizer, prompt: Prompt): void {
  if (prompt.kind === 'text') return;
  checkWritten(tokenizer, prompt, { text: openText(tokenizer, prompt), responses: [] });
}
