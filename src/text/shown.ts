/** @file A prompt as a person reads it. */
import type { Prompt } from './conversation.ts';
import { messageText } from './message.ts';

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
