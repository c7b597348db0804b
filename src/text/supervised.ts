/**
 * @file Conversations as ids of which the assistant's turns are scored, each as `clean` scores a response: its text and one
 * end token, the header masked. A turn is scored where the whole conversation holds the very ids that it has after its own
 * prompt; where the template writes earlier turns in another way (without their end token, or their reasoning), a turn
 * becomes a sequence of its own, so that what is learned is what will be sampled.
 */
import { cleanIds, cleanTexts } from './clean.ts';
import { commonLength, type Prompt, type RenderedSequence } from './conversation.ts';
import type { Message } from './template.ts';
import type { Tokenizer } from './tokenizer.ts';

/** What is learned: the assistant's messages from index `from` on, or a text that continues another. */
export type Conversation =
  | { kind: 'chat'; messages: readonly Message[]; from: number }
  | { kind: 'text'; prompt: string; completion: string };

/** Ids, and 1 for each that is scored. */
export interface ScoredIds {
  ids: number[];
  scored: Uint8Array;
}

/** The sequences of each conversation, one or more where a turn has to stand alone; all encoded in one call. */
export function renderConversations(tokenizer: Tokenizer, conversations: readonly Conversation[]): ScoredIds[][] {
  const turns = conversations.map((conversation) =>
    turnsOf(conversation).map(({ prompt, response }) => cleanTexts(tokenizer, prompt, [response])),
  );
  const ids = tokenizer.encodeBatch(turns.flat(2)).values();
  return turns.map((own) =>
    joined(
      own.map((texts) => {
        const encoded = texts.map(() => ids.next().value ?? []);
        const { promptIds, responses } = cleanIds(tokenizer, texts, encoded);
        return { promptIds, responseIds: responses[0] ?? [] };
      }),
    ),
  );
}

/** Turns in as few sequences as hold them: beginning with the last turn, whose sequence may hold all others. */
function joined(turns: readonly RenderedSequence[]): ScoredIds[] {
  const sequences: ScoredIds[] = [];
  for (const { promptIds, responseIds } of turns.toReversed()) {
    const begin = promptIds.length;
    const end = begin + responseIds.length;
    const whole = [...promptIds, ...responseIds];
    const home = sequences.find(({ ids }) => commonLength(ids, whole) === end);
    if (home !== undefined) home.scored.fill(1, begin, end);
    else sequences.unshift({ ids: whole, scored: new Uint8Array(end).fill(1, begin) });
  }
  return sequences;
}

/** Every scored turn with the prompt that it answers. */
function turnsOf(conversation: Conversation): { prompt: Prompt; response: string }[] {
  switch (conversation.kind) {
    case 'text':
      return [{ prompt: { kind: 'text', text: conversation.prompt }, response: conversation.completion }];
    case 'chat': {
      const { messages, from } = conversation;
      return messages.flatMap(({ role, content }, index) =>
        role === 'assistant' && index >= from
          ? [{ prompt: { kind: 'chat' as const, messages: messages.slice(0, index) }, response: content }]
          : [],
      );
    }
  }
}

/** A sequence that is too long keeps its beginning; null where nothing scored is left of it. */
export function truncateScored({ ids, scored }: ScoredIds, maxLength: number): ScoredIds | null {
  const cut = { ids: ids.slice(0, maxLength), scored: scored.slice(0, maxLength) };
  return cut.scored.includes(1) ? cut : null;
}
