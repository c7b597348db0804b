/** @file How a prompt that is a text is read: as a message of the user, or as a text that the model continues. */
import type { Prompt } from './conversation.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

/** `chat`: a text is a message of the user, written by the chat template. `raw`: it is continued as it is. */
export type PromptReading = 'chat' | 'raw';

/** The reading that was asked for; where none was, `chat` for a model with a chat template. */
export function promptReading(
  asked: PromptReading | null,
  { chatTemplate }: Pick<Tokenizer, 'chatTemplate'>,
): PromptReading {
  return asked ?? (chatTemplate === null ? 'raw' : 'chat');
}

/** A prompt under a reading. A conversation is one under both. */
export function readPrompt(prompt: Prompt, reading: PromptReading): Prompt {
  if (prompt.kind === 'chat' || reading === 'raw') return prompt;
  return { kind: 'chat', messages: [{ role: 'user', content: prompt.text }] };
}
