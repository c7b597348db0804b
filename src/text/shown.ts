/** @file A prompt as a person reads it: as one text, or turn by turn. */
import type { Prompt } from './conversation.ts';
import { messageText } from './message.ts';

/** What somebody said in a conversation. */
export interface ShownTurn {
  role: string;
  text: string;
}

/** The turns of a conversation; none where the prompt is a text or a single message, which is all that there is to show. */
export function shownTurns(prompt: Prompt): ShownTurn[] {
  if (prompt.kind === 'text' || prompt.messages.length === 1) return [];
  return prompt.messages.map((message) => ({ role: message.role, text: messageText(message) }));
}

/** The text of a prompt, or the turns of a chat below each other, each behind its role where there are several. */
export function shownPrompt(prompt: Prompt): string {
  switch (prompt.kind) {
    case 'text':
      return prompt.text;
    case 'chat': {
      const [only] = prompt.messages;
      if (only !== undefined && prompt.messages.length === 1) return messageText(only);
      return prompt.messages.map((message) => `[${message.role}] ${messageText(message)}`).join('\n');
    }
  }
}
