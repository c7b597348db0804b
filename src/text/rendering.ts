/**
 * @file Prompts and responses as token ids, by the rendering that the recipe names: `clean` (clean.ts) or `faithful`, the
 * authors' own (faithful.ts). How they differ from each other and from TRL's: docs/rendering.md.
 */
import { cleanIds, cleanPrompts, cleanTexts } from './clean.ts';
import type { Prompt, RenderedSequence } from './conversation.ts';
import { faithfulPrompts, faithfulSequences, faithfulTexts, truncateFaithfully } from './faithful.ts';
import type { Tokenizer } from './tokenizer.ts';
import { type TruncationLimits, truncate, truncatePrompt } from './truncation.ts';

export type { Prompt, RenderedSequence } from './conversation.ts';
export type { Message } from './template.ts';

/** How texts become ids. */
export type Rendering = 'clean' | 'faithful';

/** The `text` section of a recipe. */
export interface TextSettings extends TruncationLimits {
  rendering: Rendering;
}

/** A response of a pair; `sampledIds` where the policy sampled it here, with the end token that it chose. */
export interface PairResponse {
  text: string;
  sampledIds?: Int32Array | undefined;
}

/** The texts of a preference pair; `response` is the policy's own, for the optimism term. */
export interface PairTexts {
  prompt: Prompt;
  chosen: PairResponse;
  rejected: PairResponse;
  response: PairResponse | null;
}

/** A pair as ids, cut to fit, and how much of it was cut. */
export interface RenderedPair {
  chosen: RenderedSequence;
  rejected: RenderedSequence;
  response: RenderedSequence | null;
  promptCut: boolean;
  /** How many of the responses. */
  responsesCut: number;
}

/** Ids of a whole prompt, as the policy continues it. */
export function renderPrompt(tokenizer: Tokenizer, prompt: Prompt, rendering: Rendering): number[] {
  return renderPrompts(tokenizer, [prompt], rendering)[0] ?? [];
}

function renderPrompts(tokenizer: Tokenizer, prompts: readonly Prompt[], rendering: Rendering): number[][] {
  switch (rendering) {
    case 'clean':
      return cleanPrompts(tokenizer, prompts);
    case 'faithful':
      return faithfulPrompts(tokenizer, prompts);
  }
}

/** Ids of a prompt, cut as the policy is sampled from it. The authors' sampler cuts nothing. */
export function renderSamplingPrompt(tokenizer: Tokenizer, prompt: Prompt, settings: TextSettings): number[] {
  return cutSamplingPrompt(tokenizer, renderPrompt(tokenizer, prompt, settings.rendering), settings);
}

function cutSamplingPrompt(tokenizer: Tokenizer, promptIds: readonly number[], settings: TextSettings): number[] {
  switch (settings.rendering) {
    case 'clean':
      return truncatePrompt(promptIds, { ...settings, bosId: tokenizer.bosId });
    case 'faithful':
      return [...promptIds];
  }
}

/**
 * The sequences of a pair, cut to fit. `clean` scores the very ids that the policy sampled; the authors' code encodes the
 * text again, and so does `faithful`.
 */
export function renderPair(tokenizer: Tokenizer, pair: PairTexts, settings: TextSettings): RenderedPair {
  const { prompt, chosen, rejected, response } = pair;
  const responses = response === null ? [chosen, rejected] : [chosen, rejected, response];
  const [sequences = []] = renderResponses(tokenizer, [{ prompt, responses }], settings);
  const [first, second, third] = sequences;
  if (first === undefined || second === undefined) throw new Error('A pair has two responses');
  return { chosen: first.cut, rejected: second.cut, response: third?.cut ?? null, ...countCuts(sequences) };
}

/** Lengths of a row before it is cut, and what will be cut, for the audit. */
export interface RowMeasure {
  prompt: number;
  responses: number[];
  promptCut: boolean;
  responsesCut: number;
  /** A response that does not end with an end token although it was not cut. */
  missingEnd: boolean;
}

/** What is to be measured of a row: its prompt, and the texts of its pair; none for a prompt alone. */
export interface MeasuredText {
  prompt: Prompt;
  responses: readonly string[];
}

/** Measures rows, with one call of the tokenizer for the pairs and one for the prompts alone. */
export function measureRows(tokenizer: Tokenizer, rows: readonly MeasuredText[], settings: TextSettings): RowMeasure[] {
  const isPair = ({ responses }: MeasuredText): boolean => responses.length > 0;
  const pairs = renderResponses(
    tokenizer,
    rows.filter(isPair).map(({ prompt, responses }) => ({ prompt, responses: responses.map((text) => ({ text })) })),
    settings,
  ).values();
  const alone = rows.filter((row) => !isPair(row)).map(({ prompt }) => prompt);
  const prompts = renderPrompts(tokenizer, alone, settings.rendering).values();
  return rows.map((row) =>
    isPair(row)
      ? measurePair(tokenizer, pairs.next().value ?? [])
      : measurePrompt(tokenizer, prompts.next().value ?? [], settings),
  );
}

function measurePair(tokenizer: Tokenizer, sequences: readonly FittedSequence[]): RowMeasure {
  return {
    prompt: Math.max(...sequences.map(({ whole }) => whole.promptIds.length)),
    responses: sequences.map(({ whole }) => whole.responseIds.length),
    missingEnd: sequences.some(({ whole }) => !tokenizer.stopIds.includes(whole.responseIds.at(-1) ?? -1)),
    ...countCuts(sequences),
  };
}

function measurePrompt(tokenizer: Tokenizer, promptIds: readonly number[], settings: TextSettings): RowMeasure {
  const promptCut = cutSamplingPrompt(tokenizer, promptIds, settings).length < promptIds.length;
  return { prompt: promptIds.length, responses: [], promptCut, responsesCut: 0, missingEnd: false };
}

/** A sequence as rendered, and cut to fit. */
interface FittedSequence {
  whole: RenderedSequence;
  cut: RenderedSequence;
}

function countCuts(sequences: readonly FittedSequence[]): { promptCut: boolean; responsesCut: number } {
  return {
    promptCut: sequences.some(({ whole, cut }) => cut.promptIds.length < whole.promptIds.length),
    responsesCut: sequences.filter(({ whole, cut }) => cut.responseIds.length < whole.responseIds.length).length,
  };
}

/** A prompt, and the chosen, the rejected and where there is one the policy's response to it. */
interface PromptResponses {
  prompt: Prompt;
  responses: readonly PairResponse[];
}

/** The sequences of each row, all encoded in one call of the tokenizer. */
function renderResponses(
  tokenizer: Tokenizer,
  rows: readonly PromptResponses[],
  settings: TextSettings,
): FittedSequence[][] {
  const texts = rows.map((row) => textsToEncode(tokenizer, row, settings.rendering));
  const ids = tokenizer.encodeBatch(texts.flat());
  let at = 0;
  return rows.map((row, i) => {
    const own = texts[i] ?? [];
    at += own.length;
    return fitted(tokenizer, row, { texts: own, ids: ids.slice(at - own.length, at), settings });
  });
}

function textsToEncode(tokenizer: Tokenizer, { prompt, responses }: PromptResponses, rendering: Rendering): string[] {
  switch (rendering) {
    case 'clean':
      return cleanTexts(
        tokenizer,
        prompt,
        responses.filter(isText).map(({ text }) => text),
      );
    case 'faithful':
      return faithfulTexts(
        tokenizer,
        prompt,
        responses.map(({ text }) => text),
      );
  }
}

/** A response whose ids are not known from sampling. */
function isText({ sampledIds }: PairResponse): boolean {
  return sampledIds === undefined;
}

function fitted(
  tokenizer: Tokenizer,
  { responses }: PromptResponses,
  { texts, ids, settings }: { texts: readonly string[]; ids: readonly number[][]; settings: TextSettings },
): FittedSequence[] {
  switch (settings.rendering) {
    case 'clean': {
      const clean = cleanIds(tokenizer, texts, ids);
      const { promptIds } = clean;
      const known = clean.responses.values();
      const responseIds = responses.map(({ sampledIds }) =>
        sampledIds === undefined ? (known.next().value ?? []) : Array.from(sampledIds),
      );
      const cut = truncate({ promptIds, responses: responseIds }, { ...settings, bosId: tokenizer.bosId });
      return responseIds.map((own, i) => ({
        whole: { promptIds, responseIds: own },
        cut: { promptIds: cut.promptIds, responseIds: cut.responses[i] ?? [] },
      }));
    }
    case 'faithful': {
      const sequences = faithfulSequences(tokenizer, ids);
      const cut = truncateFaithfully(sequences, settings);
      return sequences.map((whole, i) => ({ whole, cut: cut[i] ?? whole }));
    }
  }
}
