/**
 * @file Sequences that are too long, under the `clean` rendering: a prompt keeps its end (and its start token), a response keeps its beginning. The
 * prompt is cut by its own length alone, so that a response is trained on the very prompt that it was sampled from.
 */

export interface TruncationLimits {
  /** Most tokens of prompt and response together. */
  maxLength: number;
  /** Most tokens of a prompt. */
  maxPromptLength: number;
}

/** A prompt with the responses to it, cut to fit; `responses` keep their order. */
export interface Truncated {
  promptIds: number[];
  responses: number[][];
}

/** The last `maxPromptLength` ids of a prompt; a start token in front stays in front. */
export function truncatePrompt(
  promptIds: readonly number[],
  limits: Pick<TruncationLimits, 'maxPromptLength'> & { bosId: number | null },
): number[] {
  const { maxPromptLength, bosId } = limits;
  if (promptIds.length <= maxPromptLength) return [...promptIds];
  const [first] = promptIds;
  if (first === undefined || first !== bosId) return promptIds.slice(-maxPromptLength);
  return maxPromptLength === 1 ? [first] : [first, ...promptIds.slice(1 - maxPromptLength)];
}

/** Cuts the prompt to maxPromptLength, and each response to what is left of maxLength (its end token is then lost). */
export function truncate(
  sequences: { promptIds: readonly number[]; responses: readonly (readonly number[])[] },
  limits: TruncationLimits & { bosId: number | null },
): Truncated {
  const promptIds = truncatePrompt(sequences.promptIds, limits);
  const room = Math.max(0, limits.maxLength - promptIds.length);
  return { promptIds, responses: sequences.responses.map((ids) => ids.slice(0, room)) };
}
