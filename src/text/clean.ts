/**
 * @file The `clean` rendering: a start token once where the model has one, the chat template's header masked (it belongs to
 * the prompt), and exactly one end token. What is scored after the prompt is the response's own text (frame.ts), and of
 * what the policy sampled the very ids.
 */
import type { Prompt, RenderedSequence, Response } from './conversation.ts';
import { type Change, frameOf, openText, type Place, placeInText, placeOf, type Turn, turnAfter } from './frame.ts';
import { holdsControl, spelled, swallowsSpace } from './spelling.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

/** A response of the data, or one that the policy sampled here, with the end token that it chose. */
export interface PairResponse extends Response {
  sampledIds?: Int32Array | undefined;
}

/** A prompt and responses to it. */
export interface PromptResponses {
  prompt: Prompt;
  responses: readonly PairResponse[];
  /** @default as the prompt says: one that ends in the assistant's turn is continued */
  turn?: Turn;
}

/** Where a response stands: what was sampled follows the open turn. */
export type CleanPlace = { kind: 'sampled'; open: string; ids: Int32Array } | ({ kind: 'text' } & Place);

/** A response with the prompt that it reads, and what the template made of its text. */
export interface CleanSequence extends RenderedSequence {
  change: Change;
}

/** Ids of prompts as the policy continues them: one start token where the model has one, the assistant's header included. */
export function cleanPrompts(tokenizer: Tokenizer, prompts: readonly Prompt[]): number[][] {
  const texts = prompts.map((prompt) => openText(tokenizer, prompt));
  return tokenizer.encodeBatch(texts).map((ids) => withOneStart(tokenizer, ids));
}

/** The place of each response. TextError CONVERSATION_UNRENDERABLE where one has none. */
export function cleanPlaces(tokenizer: Tokenizer, { prompt, responses, turn }: PromptResponses): CleanPlace[] {
  if (prompt.kind === 'text') {
    const open = openText(tokenizer, prompt);
    return responses.map(({ sampledIds: ids, ...response }) =>
      ids === undefined ? { kind: 'text', ...placeInText(tokenizer, open, response) } : { kind: 'sampled', open, ids },
    );
  }
  const needsFrame = responses.some(({ sampledIds }) => sampledIds === undefined);
  const frame = needsFrame ? frameOf(tokenizer, prompt, turn ?? turnAfter(prompt)) : null;
  const open = frame?.open ?? openText(tokenizer, prompt);
  return responses.map(({ sampledIds: ids = new Int32Array(), ...response }, i) =>
    frame === null || responses[i]?.sampledIds !== undefined
      ? { kind: 'sampled', open, ids }
      : { kind: 'text', ...placeOf(tokenizer, frame, response) },
  );
}

/** The sequences of rows, all encoded in one call. */
export function cleanSequences(tokenizer: Tokenizer, rows: readonly (readonly CleanPlace[])[]): CleanSequence[][] {
  const texts = rows
    .flat()
    .flatMap((place) =>
      place.kind === 'sampled' ? [place.open] : [place.before, place.before + place.own + place.tail],
    );
  const distinct = [...new Set(texts)];
  const ids = tokenizer.encodeBatch(distinct);
  const encoded = new Map(distinct.map((text, i) => [text, ids[i] ?? []]));
  const promptOf = (text: string): number[] => withOneStart(tokenizer, encoded.get(text) ?? []);
  return rows.map((places) =>
    places.map((place): CleanSequence => {
      if (place.kind === 'sampled')
        return { promptIds: promptOf(place.open), responseIds: Array.from(place.ids), change: 'none' };
      const { before, change, endId } = place;
      return { promptIds: promptOf(before), responseIds: [...ownIds(tokenizer, place, encoded), endId], change };
    }),
  );
}

/** Ids of a response's own text: what the whole has behind the prompt's ids, where those begin it. */
function ownIds(
  tokenizer: Tokenizer,
  { before, own, tail, isPlain }: Place,
  encoded: ReadonlyMap<string, readonly number[]>,
): number[] {
  const [beforeIds = [], wholeIds = []] = [encoded.get(before), encoded.get(before + own + tail)];
  const ids = wholeIds.slice(beforeIds.length);
  const isWhole = !/^\s/.test(own + tail) || !swallowsSpace(tokenizer, before);
  const follows = isWhole && beforeIds.every((id, i) => wholeIds[i] === id);
  // A token can merge over the seam or take white space behind it, and a control token be written in the data: then the
  // text is spelled by itself.
  if (follows && !(isPlain && holdsControl(tokenizer, ids))) return ids;
  if (!isPlain) return spelled(tokenizer, own + tail, 'as tokens');
  return [...spelled(tokenizer, own, 'as characters'), ...spelled(tokenizer, tail, 'as tokens')];
}

/** Ids with the start token once, where the model or its template has one. */
export function withOneStart(tokenizer: Tokenizer, ids: readonly number[]): number[] {
  const { bosId } = tokenizer;
  if (bosId === null) return [...ids];
  const text = ids.findIndex((id) => id !== bosId);
  const rest = ids.slice(text < 0 ? ids.length : text);
  const wanted = tokenizer.addBosToken || rest.length < ids.length;
  return wanted ? [bosId, ...rest] : rest;
}
