/**
 * @file Prompts and responses as token ids, by the rendering that the recipe names: `clean` (clean.ts) or `faithful`, the
 * authors' own (faithful.ts). How they differ from each other and from TRL's: docs/rendering.md.
 */
import type { PairResponse } from './clean.ts';
import type { Prompt, RenderedSequence } from './conversation.ts';
import { countCuts, fittedSequences, prepare, type TextSettings } from './sequences.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

export type { PairResponse } from './clean.ts';
export type { ChatPrompt, Prompt, RenderedSequence, Response } from './conversation.ts';
export type { RenderingFault, RenderingProblem } from './fault.ts';
export { checkPrompt, type Measured, type MeasuredText, measureRows, type RowMeasure } from './measure.ts';
export { type Rendering, renderPrompt, renderSamplingPrompt, scoresTheSame, type TextSettings } from './sequences.ts';
export type { JsonObject, Message } from './template.ts';

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

/** One response with its prompt, cut to fit, scored as `renderPair` has it. */
export function renderResponse(
  tokenizer: Tokenizer,
  { prompt, response }: { prompt: Prompt; response: PairResponse },
  settings: TextSettings,
): RenderedSequence {
  const prepared = prepare(tokenizer, { prompt, responses: [response] }, settings.rendering);
  const [fitted] = fittedSequences(tokenizer, [prepared], settings)[0] ?? [];
  if (fitted === undefined) throw new Error('A prompt has one response');
  return fitted.cut;
}

/**
 * The sequences of a pair, cut to fit. `clean` scores the very ids that the policy sampled; the authors' code encodes the
 * text again, and so does `faithful`. Throws TextError for what measureRows() finds at fault.
 */
export function renderPair(tokenizer: Tokenizer, pair: PairTexts, settings: TextSettings): RenderedPair {
  const { prompt, chosen, rejected, response } = pair;
  const responses = response === null ? [chosen, rejected] : [chosen, rejected, response];
  const prepared = prepare(tokenizer, { prompt, responses }, settings.rendering);
  const [first, second, third] = fittedSequences(tokenizer, [prepared], settings)[0] ?? [];
  if (first === undefined || second === undefined) throw new Error('A pair has two responses');
  const fitted = [first, second, ...(third === undefined ? [] : [third])];
  return { chosen: first.cut, rejected: second.cut, response: third?.cut ?? null, ...countCuts(fitted) };
}
