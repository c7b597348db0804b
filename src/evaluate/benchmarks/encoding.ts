/** @file Token ids of prompts and of what follows them, made as lm-evaluation-harness makes them. */
import type { Tokenizer } from '../../text/tokenizer/tokenizer.ts';
import type { ChoiceRequest } from './requests.ts';

/** A prompt and what follows it. */
export interface EncodedPairs {
  contextIds: number[];
  continuations: number[][];
}

/** A text that ends in spaces gives them to what follows: tokens carry the space before a word. */
export function encodePairs(tokenizer: Tokenizer, requests: readonly ChoiceRequest[]): EncodedPairs[] {
  const texts = requests.flatMap(({ context, continuations }) => {
    const kept = context.trimEnd();
    return [kept, ...continuations.map((each) => context + each)];
  });
  const ids = encodeAsHarness(tokenizer, texts);
  let next = 0;
  return requests.map(({ continuations }) => {
    const contextIds = ids[next++] ?? [];
    const wholes = continuations.map(() => ids[next++] ?? []);
    return { contextIds, continuations: wholes.map((whole) => whole.slice(contextIds.length)) };
  });
}

/** With the special tokens that the tokenizer adds, unless the text has its start token already. */
export function encodeAsHarness(tokenizer: Tokenizer, texts: readonly string[]): number[][] {
  const { bosToken } = tokenizer;
  const hasStart = (text: string): boolean => bosToken !== null && bosToken !== '' && text.startsWith(bosToken);
  const plain = tokenizer.encodeBatch(texts.filter(hasStart));
  const special = tokenizer.encodeBatchWithSpecialTokens(texts.filter((text) => !hasStart(text)));
  return texts.map((text) => (hasStart(text) ? plain.shift() : special.shift()) ?? []);
}
