/**
 * @file The `faithful` rendering: what the authors' code makes of a pair (shenao-zhang/SELM, src/alignment/data.py and
 * scripts/selm_trainer.py, which extends TRL 0.8.6), id for id. The response is rendered as a conversation of its own, so
 * its header is scored; start and end tokens are added whether the template wrote them or not; the policy's response does
 * not count in the truncation rule. Where that differs from `clean`, and why: docs/rendering.md.
 */
import { TextError } from '../errors.ts';
import {
  commonLength,
  conversationText,
  messageOf,
  type Prompt,
  type RenderedSequence,
  type Response,
} from './conversation.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';
import type { TruncationLimits } from './truncation.ts';

/** The prompts that the policy continues: texts, encoded with the special tokens that the tokenizer adds; never cut. */
export function faithfulPrompts(tokenizer: Tokenizer, prompts: readonly Prompt[]): number[][] {
  return tokenizer.encodeBatchWithSpecialTokens(prompts.map((prompt) => textOfPrompt(tokenizer, prompt, 'open')));
}

/** What has to be encoded for a prompt and responses: the prompt, and it with each response's own conversation. */
export function faithfulTexts(tokenizer: Tokenizer, prompt: Prompt, responses: readonly Response[]): string[] {
  const before = textOfPrompt(tokenizer, prompt, 'closed');
  return [before, ...responses.map((response) => before + textOfResponse(tokenizer, prompt, response))];
}

/**
 * Prompt and response of every text (chosen, rejected, the policy's) from the ids of `faithfulTexts`, before truncation:
 * the start token, the prompt, and the response with an end token after it. TextError RESPONSE_MERGED where more than the
 * last token of the prompt depends on the response.
 */
export function faithfulSequences(
  tokenizer: Tokenizer,
  [beforeIds = [], ...wholes]: readonly (readonly number[])[],
): RenderedSequence[] {
  const start = tokenizer.bosId === null ? [] : [tokenizer.bosId];
  const sequences = wholes.map((whole) => {
    if (whole.length < beforeIds.length) throw merged();
    // A token that merges across the seam belongs to the response: the split moves back by one, and never by more.
    const follows = commonLength(beforeIds, whole) === beforeIds.length;
    const split = Math.max(0, beforeIds.length - (follows ? 0 : 1));
    return { promptIds: [...start, ...whole.slice(0, split)], responseIds: [...whole.slice(split), tokenizer.eosId] };
  });
  const [chosen, rejected] = sequences;
  if (chosen !== undefined && rejected !== undefined) checkPrompts(chosen, rejected);
  return sequences;
}

function textOfPrompt(tokenizer: Tokenizer, prompt: Prompt, turn: 'open' | 'closed'): string {
  return prompt.kind === 'text' ? prompt.text : conversationText(tokenizer, prompt.messages, turn, prompt.tools);
}

function textOfResponse(tokenizer: Tokenizer, prompt: Prompt, response: Response): string {
  return prompt.kind === 'text' ? response.text : conversationText(tokenizer, [messageOf(response)], 'closed');
}

/** Prompts of chosen and rejected may differ in one token, and by one in length. */
function checkPrompts({ promptIds: chosen }: RenderedSequence, { promptIds: rejected }: RenderedSequence): void {
  const length = Math.min(chosen.length, rejected.length);
  const different = chosen.slice(0, length).filter((id, i) => id !== rejected[i]).length;
  if (different > 1 || Math.abs(chosen.length - rejected.length) > 1) throw merged();
}

function merged(): TextError {
  return new TextError(
    'RESPONSE_MERGED',
    'Cannot render a pair as the authors do: more than one token at the end of its prompt depends on the response, which their code refuses: set text.rendering to clean, or drop the row',
  );
}

/**
 * The authors' truncation of chosen, rejected, and the policy's response where there is one: while the prompt with the
 * longer of chosen and rejected exceeds maxLength, the prompt keeps its last maxPromptLength ids, its start token not
 * spared; if that is still too long, a response keeps its first maxLength - maxPromptLength. The policy's response is not
 * looked at, and can stay above maxLength.
 */
export function truncateFaithfully(
  sequences: readonly RenderedSequence[],
  { maxLength, maxPromptLength }: TruncationLimits,
): RenderedSequence[] {
  const longer = Math.max(...sequences.slice(0, 2).map(({ responseIds }) => responseIds.length));
  const exceeds = (promptIds: readonly number[]): boolean => promptIds.length + longer > maxLength;
  return sequences.map((sequence) => {
    const promptIds = exceeds(sequence.promptIds) ? sequence.promptIds.slice(-maxPromptLength) : sequence.promptIds;
    const responseIds = exceeds(promptIds)
      ? sequence.responseIds.slice(0, maxLength - maxPromptLength)
      : sequence.responseIds;
    return { promptIds, responseIds };
  });
}
