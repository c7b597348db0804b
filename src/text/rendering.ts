/**
 * @file Prompts and responses as token ids, by the rendering that the recipe names: `clean` (clean.ts) or `faithful`, the
 * authors' own (faithful.ts). How they differ from each other and from TRL's: docs/rendering.md.
 */
import { cleanPrompt, cleanResponse } from './clean.ts';
import type { Prompt, RenderedSequence } from './conversation.ts';
import { faithfulPrompt, faithfulSequences, truncateFaithfully } from './faithful.ts';
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
  switch (rendering) {
    case 'clean':
      return cleanPrompt(tokenizer, prompt);
    case 'faithful':
      return faithfulPrompt(tokenizer, prompt);
  }
}

/** Ids of a prompt, cut as the policy is sampled from it. The authors' sampler cuts nothing. */
export function renderSamplingPrompt(tokenizer: Tokenizer, prompt: Prompt, settings: TextSettings): number[] {
  const promptIds = renderPrompt(tokenizer, prompt, settings.rendering);
  switch (settings.rendering) {
    case 'clean':
      return truncatePrompt(promptIds, { ...settings, bosId: tokenizer.bosId });
    case 'faithful':
      return promptIds;
  }
}

/**
 * The sequences of a pair, cut to fit. `clean` scores the very ids that the policy sampled; the authors' code encodes the
 * text again, and so does `faithful`.
 */
export function renderPair(tokenizer: Tokenizer, pair: PairTexts, settings: TextSettings): RenderedPair {
  const { prompt, chosen, rejected, response } = pair;
  const responses = response === null ? [chosen, rejected] : [chosen, rejected, response];
  const sequences = renderResponses(tokenizer, { prompt, responses }, settings);
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

/** Measures a row: a prompt with its chosen and rejected response, or alone. */
export function measureRow(
  tokenizer: Tokenizer,
  row: { prompt: Prompt; responses: readonly string[] },
  settings: TextSettings,
): RowMeasure {
  const { prompt } = row;
  const responses = row.responses.map((text) => ({ text }));
  const sequences = renderResponses(tokenizer, { prompt, responses }, settings);
  if (sequences.length === 0) {
    const whole = renderPrompt(tokenizer, prompt, settings.rendering).length;
    const promptCut = renderSamplingPrompt(tokenizer, prompt, settings).length < whole;
    return { prompt: whole, responses: [], promptCut, responsesCut: 0, missingEnd: false };
  }
  return {
    prompt: Math.max(...sequences.map(({ whole }) => whole.promptIds.length)),
    responses: sequences.map(({ whole }) => whole.responseIds.length),
    missingEnd: sequences.some(({ whole }) => !tokenizer.stopIds.includes(whole.responseIds.at(-1) ?? -1)),
    ...countCuts(sequences),
  };
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

/** Chosen, rejected, and where there is one the policy's response to a prompt. */
function renderResponses(
  tokenizer: Tokenizer,
  { prompt, responses }: { prompt: Prompt; responses: readonly PairResponse[] },
  settings: TextSettings,
): FittedSequence[] {
  switch (settings.rendering) {
    case 'clean': {
      const promptIds = cleanPrompt(tokenizer, prompt);
      const ids = responses.map(({ text, sampledIds }) =>
        sampledIds === undefined ? cleanResponse(tokenizer, prompt, text) : Array.from(sampledIds),
      );
      const fitted = truncate({ promptIds, responses: ids }, { ...settings, bosId: tokenizer.bosId });
      return ids.map((responseIds, i) => ({
        whole: { promptIds, responseIds },
        cut: { promptIds: fitted.promptIds, responseIds: fitted.responses[i] ?? [] },
      }));
    }
    case 'faithful': {
      const texts = responses.map(({ text }) => text);
      const sequences = faithfulSequences(tokenizer, prompt, texts);
      const cut = truncateFaithfully(sequences, settings);
      return sequences.map((whole, i) => ({ whole, cut: cut[i] ?? whole }));
    }
  }
}
