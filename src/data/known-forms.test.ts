import { describe, expect, test } from 'vitest';
import { type Columns, namedRecord } from './known-forms.ts';
import { type ParsedRow, rowOfRecord } from './rows.ts';
import { supervisedRowOf } from './supervised-rows.ts';

const source = { file: 'rows.jsonl', line: 1 };
const named = (value: Record<string, unknown>, columns?: Columns) =>
  namedRecord({ kind: 'record', value, source }, columns);
const rowOf = (value: Record<string, unknown>, columns?: Columns): ParsedRow => rowOfRecord(named(value, columns));

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

describe('a row by the names of data.columns', () => {
  test('is read under our names, also where it has others under them', () => {
    const row = { question: 'Why?', prompt: 'not this', good: 'Because.', bad: 'No.' };
    const columns = { prompt: 'question', chosen: 'good', rejected: 'bad' };
    expect(rowOf(row, columns)).toMatchObject({
      kind: 'row',
      row: { prompt: { kind: 'text', text: 'Why?' }, chosen: 'Because.', rejected: 'No.' },
    });
  });

  test('is a problem where it lacks one of them', () => {
    const problem = rowOf({ prompt: 'Why?', chosen: 'a', rejected: 'b' }, { prompt: 'qestion' });
    expect(problem).toMatchObject({ kind: 'problem', problem: 'no such column', field: 'qestion', source });
    expect(problem).toMatchObject({
      detail: expect.stringContaining('the row has the fields prompt, chosen, rejected'),
    });
  });
});

describe('ShareGPT', () => {
  const turns = [
    { from: 'system', value: 'Be kind.' },
    { from: 'human', value: 'Hi' },
  ];

  test('is a conversation, of which the answer is left out for a prompt and learned in fine-tuning', () => {
    const conversations = [...turns, { from: 'gpt', value: 'Hello!' }];
    const messages = [{ role: 'system', content: 'Be kind.' }, user('Hi')];
    expect(rowOf({ conversations, id: 7 })).toMatchObject({
      row: { prompt: { kind: 'chat', messages }, chosen: null },
    });
    expect(supervisedRowOf(named({ conversations }))).toMatchObject({
      row: { conversation: { kind: 'chat', messages: [...messages, assistant('Hello!')] } },
    });
  });

  test('with a chosen and a rejected turn is a pair', () => {
    const pair = { chosen: { from: 'gpt', value: 'Hello!' }, rejected: { from: 'gpt', value: 'What?' } };
    expect(rowOf({ conversations: turns, ...pair })).toMatchObject({
      row: { prompt: { messages: [{ role: 'system' }, user('Hi')] }, chosen: 'Hello!', rejected: 'What?' },
    });
  });
});

describe('Alpaca', () => {
  test('has its prompt in the instruction and the input, its completion in the output', () => {
    const row = { instruction: 'Translate.', input: 'Hund', output: 'dog' };
    expect(rowOf(row)).toMatchObject({ row: { prompt: { kind: 'text', text: 'Translate.\n\nHund' }, chosen: null } });
    expect(supervisedRowOf(named(row))).toMatchObject({
      row: { conversation: { kind: 'text', prompt: 'Translate.\n\nHund', completion: 'dog' } },
    });
    expect(rowOf({ ...row, input: '' })).toMatchObject({ row: { prompt: { text: 'Translate.' } } });
  });

  test('with chosen and rejected is a pair', () => {
    expect(rowOf({ instruction: 'Say hi.', chosen: 'Hi', rejected: 'No' })).toMatchObject({
      row: { prompt: { text: 'Say hi.' }, chosen: 'Hi', rejected: 'No' },
    });
  });
});

describe('hh-rlhf', () => {
  const before = '\n\nHuman: Hi\nthere\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant:';
  const messages = [user('Hi\nthere'), assistant('Hello.'), user('Why?')];

  test('has whole transcripts, which become conversations', () => {
    expect(rowOf({ chosen: `${before} Because.`, rejected: `${before} No.` })).toMatchObject({
      row: { prompt: { kind: 'chat', messages }, chosen: 'Because.', rejected: 'No.' },
    });
  });

  test('with the prompt apart is the same', () => {
    expect(rowOf({ prompt: before, chosen: 'Because.', rejected: 'No.' })).toMatchObject({
      row: { prompt: { kind: 'chat', messages }, chosen: 'Because.', rejected: 'No.' },
    });
  });

  test('is not seen in a text that only mentions a human', () => {
    expect(rowOf({ prompt: 'Human: hi', chosen: 'a', rejected: 'b' })).toMatchObject({
      row: { prompt: { kind: 'text', text: 'Human: hi' } },
    });
  });
});

test('a row of our own form is left as it is', () => {
  const value = { prompt: 'p', chosen: 'a', rejected: 'b', instruction: 'x', conversations: [] };
  expect(named(value)).toEqual({ kind: 'record', value, source });
});

test('a row of another form says how its prompt is named', () => {
  expect(rowOf({ question: 'Why?', answer: 'Because.' })).toMatchObject({
    problem: 'no prompt',
    detail: expect.stringContaining('question, answer: name the one that is the prompt, such as data.columns'),
  });
});
