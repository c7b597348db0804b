/** @file The sequences of a prompt and its responses under either rendering, whole and cut to fit. */
import { type CleanPlace, cleanPlaces, cleanPrompts, cleanSequences, type PromptResponses } from './clean.ts';
import type { Prompt, RenderedSequence } from './conversation.ts';
import { faithfulPrompts, faithfulSequences, faithfulTexts, truncateFaithfully } from './faithful.ts';
import type { Change } from './frame.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';
import { type TruncationLimits, truncate, truncatePrompt } from './truncation.ts';

/** How texts become ids. */
export type Rendering = 'clean' | 'faithful';

/** The `text` section of a recipe, as far as ids depend on it. */
export interface TextSettings extends TruncationLimits {
  rendering: Rendering;
}

/** Ids of a whole prompt, as the policy continues it. */
export function renderPrompt(tokenizer: Tokenizer, prompt: Prompt, rendering: Rendering): number[] {
  return renderPrompts(tokenizer, [prompt], rendering)[0] ?? [];
}

/** As renderPrompt, for several in one call of the tokenizer. */
export function renderPrompts(tokenizer: Tokenizer, prompts: readonly Prompt[], rendering: Rendering): number[][] {
  switch (rendering) {
    case 'clean':
      return cleanPrompts(tokenizer, prompts);
    case 'faithful':
      return faithfulPrompts(tokenizer, prompts);
  }
}

/** Ids of prompts, cut as the policy is sampled from them, in one call of the tokenizer. The authors' sampler cuts nothing. */
export function renderSamplingPrompts(
  tokenizer: Tokenizer,
  prompts: readonly Prompt[],
  settings: TextSettings,
): number[][] {
  return renderPrompts(tokenizer, prompts, settings.rendering).map((ids) =>
    cutSamplingPrompt(tokenizer, ids, settings),
  );
}

/** A prompt's ids as the policy is sampled from them. */
export function cutSamplingPrompt(
  tokenizer: Tokenizer,
  promptIds: readonly number[],
  settings: TextSettings,
): number[] {
  switch (settings.rendering) {
    case 'clean':
      return truncatePrompt(promptIds, { ...settings, bosId: tokenizer.bosId });
    case 'faithful':
      return [...promptIds];
  }
}

/** Whether what is scored of two sequences is the same, so that no preference between them can be learned. */
export function scoresTheSame({ responseIds: a }: RenderedSequence, { responseIds: b }: RenderedSequence): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}

/** A sequence as rendered, and cut to fit. */
export interface FittedSequence {
  whole: RenderedSequence;
  cut: RenderedSequence;
  change: Change;
}

/** What was cut of a row's sequences. */
export function countCuts(sequences: readonly FittedSequence[]): { promptCut: boolean; responsesCut: number } {
  return {
    promptCut: sequences.some(({ whole, cut }) => cut.promptIds.length < whole.promptIds.length),
    responsesCut: sequences.filter(({ whole, cut }) => cut.responseIds.length < whole.responseIds.length).length,
  };
}

/** The texts of a row, ready to be encoded. */
export type Prepared = { rendering: 'clean'; places: CleanPlace[] } | { rendering: 'faithful'; texts: string[] };

/** What has to be encoded of a row. TextError where the template refuses it, or a response has no place in it. */
export function prepare(tokenizer: Tokenizer, row: PromptResponses, rendering: Rendering): Prepared {
  switch (rendering) {
    case 'clean':
      return { rendering, places: cleanPlaces(tokenizer, row) };
    case 'faithful':
      return { rendering, texts: faithfulTexts(tokenizer, row.prompt, row.responses) };
  }
}

/** The sequences of each row, all encoded in one call of the tokenizer. */
export function fittedSequences(
  tokenizer: Tokenizer,
  rows: readonly Prepared[],
  settings: TextSettings,
): FittedSequence[][] {
  const { bosId } = tokenizer;
  const clean = rows.flatMap((row) => (row.rendering === 'clean' ? [row.places] : []));
  const faithful = rows.flatMap((row) => (row.rendering === 'faithful' ? [row.texts] : []));
  return settings.rendering === 'clean'
    ? cleanSequences(tokenizer, clean).map((sequences) =>
        sequences.map(({ change, ...whole }) => ({ whole, change, cut: cutSequence(whole, { ...settings, bosId }) })),
      )
    : encodeRows(tokenizer, faithful).map((ids) => {
        const wholes = faithfulSequences(tokenizer, ids);
        const cuts = truncateFaithfully(wholes, settings);
        return wholes.map((whole, i) => ({ whole, cut: cuts[i] ?? whole, change: 'none' as const }));
      });
}

function cutSequence(
  { promptIds, responseIds }: RenderedSequence,
  limits: TruncationLimits & { bosId: number | null },
): RenderedSequence {
  const cut = truncate({ promptIds, responses: [responseIds] }, limits);
  return { promptIds: cut.promptIds, responseIds: cut.responses[0] ?? [] };
}

/** Ids of each row's texts, encoded in one call. */
function encodeRows(tokenizer: Tokenizer, rows: readonly (readonly string[])[]): number[][][] {
  const ids = tokenizer.encodeBatch(rows.flat()).values();
  return rows.map((texts) => texts.map(() => ids.next().value ?? []));
}
