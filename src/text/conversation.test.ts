import { expect, it } from 'vitest';
import { conversationText } from './conversation.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

it('a field that is null is not shown to the template: a call without a text is not written as None', () => {
  const chatTemplate = '{% for m in messages %}[{{ m.content }}|{{ m.name is defined }}]{% endfor %}';
  const tokenizer = { chatTemplate, bosToken: null, eosToken: '</s>' } as Tokenizer; // all that is read of it
  const call = { function: { name: 'weather', arguments: {} } };
  const messages = [
    { role: 'user', content: 'Hi', name: null },
    { role: 'assistant', content: null, tool_calls: [call] },
  ];
  expect(conversationText(tokenizer, messages, 'closed')).toBe('[Hi|False][|False]');
});
