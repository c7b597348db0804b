/**
 * @file Conversations as ids of which the assistant's turns are scored, each as `clean` scores a response: its text and one
 * end token, the header masked. A turn is scored where the whole conversation holds the very ids that it has after its own
 * prompt; where the template writes earlier turns in another way (without their end token, or their reasoning), a turn
 * becomes a sequence of its own, so that what is learned is what will be sampled.
 */
import { cleanPlaces, cleanSequences, type PromptResponses } from './clean.ts';
import { type ChatPrompt, commonLength, conversationText, type RenderedSequence } from './conversation.ts';
import { faultOf, type RenderingFault } from './fault.ts';
import type { Change } from './frame.ts';
import { messageText } from './message.ts';
import type { PromptReading } from './reading.ts';
import type { JsonObject, Message } from './template.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';
import { checkWritten, type Omissions } from './written.ts';

/** What is learned: the assistant's messages from index `from` on, or a text that continues another. */
export type Conversation =
  | { kind: 'chat'; messages: readonly Message[]; from: number; tools?: JsonObject[] }
  | { kind: 'text'; prompt: string; completion: string };

/** Ids, and 1 for each that is scored. */
export interface ScoredIds {
  ids: number[];
  scored: Uint8Array;
}

/** A conversation under a reading of texts: a prompt that is a text becomes the user's message. */
export function readConversation(conversation: Conversation, reading: PromptReading): Conversation {
  if (conversation.kind === 'chat' || reading === 'raw') return conversation;
  const { prompt, completion } = conversation;
  const messages = [
    { role: 'user', content: prompt },
    { role: 'assistant', content: completion },
  ];
  return { kind: 'chat', messages, from: 1 };
}

/** What a conversation becomes: its sequences, and what the template made of each turn; or why it cannot be rendered. */
export type RenderedConversation =
  | { kind: 'sequences'; sequences: ScoredIds[]; changes: Change[]; omissions: Omissions }
  | { kind: 'fault'; fault: RenderingFault };

/** The sequences of each conversation, one or more where a turn has to stand alone; all encoded in one call. */
export function renderConversations(
  tokenizer: Tokenizer,
  conversations: readonly Conversation[],
): RenderedConversation[] {
  const prepared = conversations.map((conversation) => {
    try {
      const places = turnsOf(conversation).flatMap((turn) => cleanPlaces(tokenizer, turn));
      return { kind: 'places' as const, places, omissions: omissionsOf(tokenizer, conversation) };
    } catch (error) {
      const fault = faultOf(error);
      if (fault === null) throw error;
      return { kind: 'fault' as const, fault };
    }
  });
  const turns = cleanSequences(
    tokenizer,
    prepared.map((each) => (each.kind === 'places' ? each.places : [])),
  );
  return prepared.map((each, i) => {
    if (each.kind === 'fault') return each;
    const own = turns[i] ?? [];
    const { omissions } = each;
    return { kind: 'sequences', sequences: joined(own), changes: own.map(({ change }) => change), omissions };
  });
}

function omissionsOf(tokenizer: Tokenizer, conversation: Conversation): Omissions {
  if (conversation.kind === 'text') return { earlierReasoning: false, changedMessages: 0, unusedFields: [] };
  const { messages, tools } = conversation;
  const text = conversationText(tokenizer, messages, 'closed', tools);
  return checkWritten(tokenizer, chatPrompt(messages, tools), { text, responses: [] });
}

function chatPrompt(messages: readonly Message[], tools: JsonObject[] | undefined): ChatPrompt {
  return { kind: 'chat', messages: [...messages], ...(tools === undefined ? {} : { tools }) };
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
function turnsOf(conversation: Conversation): PromptResponses[] {
  switch (conversation.kind) {
    case 'text':
      return [{ prompt: { kind: 'text', text: conversation.prompt }, responses: [{ text: conversation.completion }] }];
    case 'chat': {
      const { messages, from, tools } = conversation;
      return messages.flatMap((message, index) => {
        if (message.role !== 'assistant' || index < from) return [];
        // A completion goes on with the prompt's last turn; two turns of one conversation are two turns.
        const continues = index === from && from > 0 && messages[from - 1]?.role === 'assistant';
        const prompt = chatPrompt(messages.slice(0, index), tools);
        const responses = [{ text: messageText(message), message }];
        return [{ prompt, responses, turn: continues ? ('continued' as const) : ('new' as const) }];
      });
    }
  }
}

/** A sequence that is too long keeps its beginning; null where nothing scored is left of it. */
export function truncateScored({ ids, scored }: ScoredIds, maxLength: number): ScoredIds | null {
  const cut = { ids: ids.slice(0, maxLength), scored: scored.slice(0, maxLength) };
  return cut.scored.includes(1) ? cut : null;
}
