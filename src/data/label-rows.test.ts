import { describe, expect, it } from 'vitest';
import { labelledFields, labelledRowsOf } from './label-rows.ts';

const source = { file: 'thumbs.jsonl', line: 3 };
const rowsOf = (value: Record<string, unknown>) => labelledRowsOf({ kind: 'record', value, source });

describe('rows with labels', () => {
  it.each([
    [true, true],
    [false, false],
    [1, true],
    [0n, false],
    ['True', true],
    ['0', false],
  ])('a label %o is %s', (label, desirable) => {
    expect(rowsOf({ prompt: 'Hi', completion: 'Hello.', label })).toEqual({
      kind: 'rows',
      rows: [{ conversation: { kind: 'text', prompt: 'Hi', completion: 'Hello.' }, desirable, source }],
    });
  });

  it('the label of a conversation is about its last turn', () => {
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello.' },
      { role: 'user', content: 'And?' },
      { role: 'assistant', content: 'Nothing.' },
    ];
    const parsed = rowsOf({ messages, label: false });
    expect(parsed).toMatchObject({ rows: [{ conversation: { kind: 'chat', from: 3 }, desirable: false }] });
  });

  it('a pair is a good and a bad response', () => {
    const parsed = rowsOf({ prompt: 'Hi', chosen: 'Hello.', rejected: 'What?' });
    expect(parsed).toMatchObject({
      rows: [
        { conversation: { completion: 'Hello.' }, desirable: true },
        { conversation: { completion: 'What?' }, desirable: false },
      ],
    });
  });

  it('tools of the row go with its conversation', () => {
    const tools = [{ type: 'function', function: { name: 'clock' } }];
    expect(rowsOf({ prompt: 'Hi', completion: 'Hello.', label: 1, tools })).toMatchObject({
      rows: [{ conversation: { kind: 'chat', tools } }],
    });
  });

  it.each([
    [{ prompt: 'Hi', completion: 'Hello.', label: 'good' }, 'no label', 'label'],
    [{ prompt: 'Hi', completion: 'Hello.' }, 'no label', 'label'],
    [{ prompt: 'Hi', label: true }, 'no completion', 'completion'],
    [{ completion: 'Hello.', label: true }, 'no prompt', 'prompt'],
  ])('%o is refused: %s', (value, problem, field) => {
    expect(rowsOf(value)).toMatchObject({ kind: 'problem', problem, field, source });
  });

  it('of a file with more only what is needed is read', () => {
    expect(labelledFields(['id', 'prompt', 'completion', 'label', 'model'])).toEqual(['prompt', 'completion', 'label']);
    expect(labelledFields(['prompt', 'chosen', 'rejected', 'score'])).toEqual(['prompt', 'chosen', 'rejected']);
    expect(labelledFields(['prompt', 'completion'])).toEqual([]);
  });
});
