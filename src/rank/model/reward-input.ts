/**
 * @file What a reward model reads of a prompt and a response: by its own chat template where it has one, never the
 * policy's; without one, a decoder reads them one after the other, an encoder as a pair with its separators.
 */
import type { ClassifierFamily } from '../../model/classifier/score-head.ts';
import { conversationText, type Prompt } from '../../text/conversation.ts';
import type { Message } from '../../text/template.ts';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.ts';
import { pairPromptText } from './pairrm-input.ts';

/** Sequences of an item's responses, and what did not fit. */
export interface RewardSequences {
  sequences: number[][];
  cut: { prompt: boolean; responses: number };
}

/** Encodes every response with its prompt, at most `maxTokens` tokens each. */
export function rewardSequences(
  tokenizer: Tokenizer,
  family: ClassifierFamily,
  input: { prompt: Prompt; responses: readonly string[]; maxTokens: number },
): RewardSequences {
  if (tokenizer.chatTemplate === null && family !== 'decoder') return pairSequences(tokenizer, family, input);
  const wholes =
    tokenizer.chatTemplate === null ? plainSequences(tokenizer, input) : conversationSequences(tokenizer, input);
  return cutStarts(wholes, tokenizer, input.maxTokens);
}

type Input = Parameters<typeof rewardSequences>[2];

/** Whole sequences, and how many of their tokens are the prompt's. */
interface Wholes {
  ids: number[][];
  promptTokens: number;
}

/** As transformers' apply_chat_template: the template alone decides about special tokens. */
function conversationSequences(tokenizer: Tokenizer, { prompt, responses }: Input): Wholes {
  const messages: Message[] = prompt.kind === 'chat' ? prompt.messages : [{ role: 'user', content: prompt.text }];
  const texts = responses.map((content) =>
    conversationText(tokenizer, [...messages, { role: 'assistant', content }], 'closed'),
  );
  const [before = [], ...ids] = tokenizer.encodeBatch([conversationText(tokenizer, messages, 'open'), ...texts]);
  return { ids, promptTokens: before.length };
}

/** Prompt and response as one text, with the special tokens that the tokenizer adds. */
function plainSequences(tokenizer: Tokenizer, { prompt, responses }: Input): Wholes {
  const before = pairPromptText(prompt);
  const texts = [before, ...responses.map((response) => before + response)];
  const [first = [], ...ids] = tokenizer.encodeBatchWithSpecialTokens(texts);
  return { ids, promptTokens: first.length };
}

/** What is too long loses its beginning, behind the start token: the response is what is judged. */
function cutStarts({ ids, promptTokens }: Wholes, tokenizer: Tokenizer, maxTokens: number): RewardSequences {
  const excess = ids.map((each) => Math.max(0, each.length - maxTokens));
  const sequences = ids.map((each, i) => {
    const over = excess[i] ?? 0;
    if (over === 0) return each;
    const [first] = each;
    const keepsStart = first !== undefined && first === tokenizer.bosId && maxTokens > 1;
    return keepsStart ? [first, ...each.slice(over + 1)] : each.slice(over);
  });
  return {
    sequences,
    cut: { prompt: excess.some((over) => over > 0), responses: excess.filter((over) => over >= promptTokens).length },
  };
}

/**
 * `[CLS] prompt [SEP] response [SEP]`, RoBERTa's with two separators between. What is too long loses the prompt's
 * beginning, and where the response alone is too long, the response's end.
 */
function pairSequences(
  tokenizer: Tokenizer,
  family: 'deberta' | 'roberta',
  { prompt, responses, maxTokens }: Input,
): RewardSequences {
  const [start = 0, end = 0] = tokenizer.encodeBatchWithSpecialTokens([''])[0] ?? [];
  const between = family === 'roberta' ? [end, end] : [end];
  const [promptIds = [], ...responseIds] = tokenizer.encodeBatch([pairPromptText(prompt), ...responses]);
  const room = maxTokens - 2 - between.length;
  let promptCut = false;
  let responsesCut = 0;
  const sequences = responseIds.map((ids) => {
    const response = ids.slice(0, room);
    const promptRoom = room - response.length;
    if (response.length < ids.length) responsesCut += 1;
    if (promptRoom < promptIds.length) promptCut = true;
    const kept = promptIds.slice(Math.max(0, promptIds.length - promptRoom));
    return [start, ...kept, ...between, ...response, end];
  });
  return { sequences, cut: { prompt: promptCut, responses: responsesCut } };
}
