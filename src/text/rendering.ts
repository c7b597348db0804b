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
export { type Rendering, renderPrompt, renderSamplingPrompts, scoresTheSame, type TextSettings } from './sequences.ts';
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

/** The sequences of a pair, as renderPairs() has them. */
export function renderPair(tokenizer: Tokenizer, texts: PairTexts, settings: TextSettings): RenderedPair {
  const [pair] = renderPairs(tokenizer, [texts], settings);
  if (pair === undefined) throw new Error('A pair was given');
  return pair.rendered;
}

/**
 * The sequences of pairs, cut to fit, in one call of the tokenizer. `clean` scores the very ids that the policy sampled; the authors'
 * code encodes the text again, and so does `faithful`. Throws TextError for what measureRows() finds at fault.
 */
export function renderPairs<Texts extends PairTexts>(
  tokenizer: Tokenizer,
  pairs: readonly Texts[],
  settings: TextSettings,
): { texts: Texts; rendered: RenderedPair }[] {
  const prepared = pairs.map(({ prompt, chosen, rejected, response }) => {
    const responses = response === null ? [chosen, rejected] : [chosen, rejected, response];
    return prepare(tokenizer, { prompt, responses }, settings.rendering);
  });
  const sequences = fittedSequences(tokenizer, prepared, settings);
  return pairs.map((texts, i) => {
    const fitted = sequences[i] ?? [];
    const [first, second, third] = fitted;
    if (first === undefined || second === undefined) throw new Error('A pair has two responses');
    const rendered = { chosen: first.cut, rejected: second.cut, response: third?.cut ?? null, ...countCuts(fitted) };
    return { texts, rendered };
  });
}
