/** @file Rows to learn from: every form, what is learned of it, and what is refused. */
import { describe, expect, it } from 'vitest';
import { supervisedFields, supervisedRowOf } from './supervised-rows.ts';

const source = { file: 'rows.jsonl', line: 1 };
const parse = (value: Record<string, unknown>) => supervisedRowOf({ kind: 'record', value, source });
const user = { role: 'user', content: 'Hi' };
const assistant = { role: 'assistant', content: 'Yo' };

describe('supervisedRowOf()', () => {
  it.each([
    [
      'a conversation',
      { messages: [user, assistant, user, assistant] },
      { from: 1, messages: [user, assistant, user, assistant] },
    ],
    [
      'a conversation that the assistant opens',
      { messages: [assistant, user, assistant] },
      { from: 1, messages: [assistant, user, assistant] },
    ],
    [
      'prompt and completion of messages',
      { prompt: [user], completion: [assistant] },
      { from: 1, messages: [user, assistant] },
    ],
    [
      'a text prompt and a completion of messages',
      { prompt: 'Hi', completion: [assistant] },
      { from: 1, messages: [user, assistant] },
    ],
    [
      'a prompt of several turns, which are not learned',
      { prompt: [user, assistant, user], completion: 'Yo' },
      { from: 3, messages: [user, assistant, user, assistant] },
    ],
    [
      'a preference row',
      { prompt: 'Hi', chosen: [user, assistant], rejected: [user, { role: 'assistant', content: 'No' }] },
      { from: 1, messages: [user, assistant] },
    ],
    [
      'a preference row with its conversation',
      { messages: [user, assistant], chosen: [user, user], rejected: 3 },
      { from: 1, messages: [user, assistant] },
    ],
  ])('reads %s', (_, value, conversation) => {
    expect(parse(value)).toEqual({ kind: 'row', row: { conversation: { kind: 'chat', ...conversation }, source } });
  });

  it.each([
    [{ prompt: 'Once upon', completion: ' a time' }],
    [{ prompt: 'Once upon', chosen: ' a time', rejected: ' a mine' }],
    [{ prompt: 'Once upon', chosen: ' a time', rejected: ' a time' }],
  ])('reads plain texts: %o', (value) => {
    expect(parse(value)).toEqual({
      kind: 'row',
      row: { conversation: { kind: 'text', prompt: 'Once upon', completion: ' a time' }, source },
    });
  });

  it.each([
    [{ text: 'Once' }, 'no completion', 'messages'],
    [{ prompt: 'Once' }, 'no completion', 'messages'],
    [{ completion: 'Once' }, 'no prompt', 'prompt'],
    [{ prompt: ' ', completion: 'x' }, 'empty prompt', 'prompt'],
    [{ messages: [user, user] }, 'no turn of the assistant', 'messages'],
    [{ messages: [assistant] }, 'no turn of the assistant', 'messages'],
    [{ messages: 'Hi' }, 'wrong type', 'messages'],
    [{ messages: [{ role: 'user' }] }, 'wrong type', 'messages[0]'],
    [{ prompt: [user], completion: [user] }, 'no turn of the assistant', 'completion'],
    [{ prompt: 'x', chosen: 7 }, 'wrong type', 'chosen'],
  ])('refuses %o', (value, problem, field) => {
    expect(parse(value)).toMatchObject({ kind: 'problem', problem, field, source });
  });
});

describe('supervisedFields()', () => {
  it('takes the columns of the first form that a file has', () => {
    expect(supervisedFields(['prompt', 'messages', 'chosen', 'rejected'])).toEqual(['messages']);
    expect(supervisedFields(['completion', 'prompt', 'x'])).toEqual(['prompt', 'completion']);
    expect(supervisedFields(['chosen', 'rejected'])).toEqual(['chosen']);
    expect(supervisedFields(['text'])).toEqual([]);
  });
});
