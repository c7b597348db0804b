/** @file Every form of a row that people have, and every way in which one is unusable. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { sha256 } from '../files/hash.ts';
import { packageRoot } from '../files/package-root.ts';
import type { MeasuredText } from '../text/rendering.ts';
import { auditRows, formatAudit } from './audit.ts';
import { collectRows, readRows } from './read.ts';
import { type ParsedRow, parseRow } from './rows.ts';

const source = { file: 'rows.jsonl', line: 7 };
const parse = (value: unknown): ParsedRow => parseRow(JSON.stringify(value), source);
const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

describe('parseRow() reads', () => {
  it('UltraFeedback-binarized: prompt as text, repeated in both conversations', () => {
    const row = {
      prompt: 'Hi',
      prompt_id: 'id-1',
      chosen: [user('Hi'), assistant('Yes')],
      rejected: [user('Hi'), assistant('No')],
      messages: [],
    };
    expect(parse(row)).toEqual({
      kind: 'row',
      row: {
        promptId: 'id-1',
        prompt: { kind: 'chat', messages: [user('Hi')] },
        chosen: 'Yes',
        rejected: 'No',
        source,
      },
    });
  });

  it('TRL conversational, with the prompt apart and without one, to the same row', () => {
    const apart = parse({ prompt: [user('Hi')], chosen: [assistant('Yes')], rejected: [assistant('No')] });
    const implicit = parse({ chosen: [user('Hi'), assistant('Yes')], rejected: [user('Hi'), assistant('No')] });
    expect(apart).toEqual(implicit);
    expect(apart).toMatchObject({
      row: { prompt: { kind: 'chat', messages: [user('Hi')] }, chosen: 'Yes', rejected: 'No' },
    });
  });

  it('TRL explicit and plain text: the texts as they are', () => {
    expect(parse({ prompt: 'The sky is', chosen: ' blue.', rejected: ' green.' })).toMatchObject({
      row: { prompt: { kind: 'text', text: 'The sky is' }, chosen: ' blue.', rejected: ' green.' },
    });
  });

  it('several turns: all before the last answer is the prompt', () => {
    const before = [{ role: 'system', content: 'Be kind' }, user('Hi'), assistant('Hello'), user('Bye')];
    expect(parse({ chosen: [...before, assistant('Bye!')], rejected: [...before, assistant('Go')] })).toMatchObject({
      row: { prompt: { kind: 'chat', messages: before }, chosen: 'Bye!', rejected: 'Go' },
    });
  });

  it.each([
    ['a text', { prompt: 'Hi' }, { kind: 'text', text: 'Hi' }],
    ['messages', { prompt: [user('Hi')] }, { kind: 'chat', messages: [user('Hi')] }],
    [
      'the field messages, whose answer is left out',
      { messages: [user('Hi'), assistant('x')] },
      { kind: 'chat', messages: [user('Hi')] },
    ],
  ])('a prompt alone: %s', (_, value, prompt) => {
    expect(parse(value)).toMatchObject({ row: { prompt, chosen: null, rejected: null } });
  });

  it('messages with all that they hold, but for fields that are null, and tools in both ways of writing them', () => {
    const call = { ...assistant(''), content: null, tool_calls: [{ function: { name: 'f' } }], name: null };
    const tool = { function: { name: 'f' } };
    for (const tools of [[tool], JSON.stringify([tool])]) {
      expect(parse({ prompt: [user('Hi')], chosen: [call], rejected: [assistant('No')], tools })).toEqual({
        kind: 'row',
        row: {
          promptId: expect.any(String),
          prompt: { kind: 'chat', messages: [user('Hi')], tools: [tool] },
          chosen: '<tool_call>{"function":{"name":"f"}}</tool_call>',
          chosenMessage: { role: 'assistant', content: null, tool_calls: [tool] },
          rejected: 'No',
          source,
        },
      });
    }
  });

  it('responses that differ in their reasoning alone as two', () => {
    const thought = (reasoning_content: string) => [{ ...assistant('Yes'), reasoning_content }];
    expect(parse({ prompt: [user('Hi')], chosen: thought('a'), rejected: thought('b') })).toMatchObject({
      kind: 'row',
    });
    expect(parse({ prompt: [user('Hi')], chosen: thought('a'), rejected: thought('a') })).toMatchObject({
      problem: 'chosen equals rejected',
    });
  });

  it('a prompt that ends in words of the assistant, which stay', () => {
    const prompt = [user('Count'), assistant('One,')];
    expect(parse({ prompt })).toMatchObject({ row: { prompt: { kind: 'chat', messages: prompt } } });
  });

  it('a prompt without id, and names it by its hash', () => {
    const prompt = { kind: 'text', text: 'Hi' };
    expect(parse({ prompt: 'Hi' })).toMatchObject({ row: { promptId: sha256(JSON.stringify(prompt)) } });
  });
});

describe('parseRow() says what is wrong with', () => {
  it.each<[string, unknown, string, string]>([
    ['a list', [], 'not an object', ''],
    ['no prompt', { question: 'a' }, 'no prompt', 'prompt'],
    ['a number as prompt', { prompt: 3 }, 'wrong type', 'prompt'],
    ['an empty prompt', { prompt: ' ' }, 'empty prompt', 'prompt'],
    ['a message without role', { prompt: [{ content: 'x' }] }, 'wrong type', 'prompt[0]'],
    ['only a chosen', { prompt: 'a', chosen: 'b' }, 'only one of chosen and rejected', 'rejected'],
    ['a message without content', { prompt: [{ role: 'user', content: null }] }, 'wrong type', 'prompt[0]'],
    ['tools that are none', { prompt: 'a', tools: 'weather' }, 'wrong type', 'tools'],
    ['equal texts', { prompt: 'a', chosen: 'b', rejected: 'b' }, 'chosen equals rejected', 'rejected'],
    ['a user message at the end', { chosen: [user('a')], rejected: [user('a')] }, 'wrong type', 'chosen'],
    [
      'different prompts',
      { chosen: [user('a'), assistant('x')], rejected: [user('b'), assistant('y')] },
      'chosen and rejected belong to different prompts',
      'rejected',
    ],
  ])('%s', (_, value, problem, field) => {
    expect(parse(value)).toMatchObject({ kind: 'problem', problem, field, source });
  });

  it('a line that is not JSON', () => {
    expect(parseRow('{"prompt": ', source)).toMatchObject({ kind: 'problem', problem: 'not JSON', source });
  });
});

const folder = mkdtempSync(join(tmpdir(), 'selm-rows-'));
afterAll(() => rmSync(folder, { recursive: true }));
function file(text: string): string {
  const path = join(folder, `${sha256(text).slice(0, 8)}.jsonl`);
  writeFileSync(path, text);
  return path;
}
const keepAll = { limit: null, onBadRow: 'stop' } as const;

describe('readRows()', () => {
  it('reads past a byte order mark, Windows line ends, blank lines, and a last line without end', async () => {
    const path = file('\uFEFF{"prompt":"a"}\r\n\r\n{"prompt":"b"}\n\n{"prompt":"c"}');
    const rows = await collectRows(readRows([path]), keepAll);
    expect(rows.map((row) => [row.prompt, row.source.line])).toEqual([
      [{ kind: 'text', text: 'a' }, 1],
      [{ kind: 'text', text: 'b' }, 3],
      [{ kind: 'text', text: 'c' }, 5],
    ]);
  });

  it('refuses an empty file and a missing one by name', async () => {
    await expect(collectRows(readRows([file('\n\n')]), keepAll)).rejects.toMatchObject({
      code: 'DATA_EMPTY',
      exitCode: 2,
    });
    await expect(collectRows(readRows([join(folder, 'absent.jsonl')]), keepAll)).rejects.toMatchObject({
      code: 'DATA_MISSING',
    });
  });

  it('stops at a bad row with file, line and field, or drops it', async () => {
    const path = file('{"prompt":"a"}\n{"text":"b"}\n');
    await expect(collectRows(readRows([path]), keepAll)).rejects.toThrow(
      `Cannot use ${path}:2: field "prompt": no prompt`,
    );
    expect(await collectRows(readRows([path]), { limit: null, onBadRow: 'drop' })).toHaveLength(1);
  });
});

describe('auditRows()', () => {
  // One token a character, and an end token that one response lacks; prompts above 8 and responses above 4 are cut.
  const measure = (rows: readonly MeasuredText[]) =>
    rows.map(({ prompt, responses }) => {
      const length = 'text' in prompt ? prompt.text.length : 1;
      const measure = {
        prompt: length,
        responses: responses.map(({ text }) => text.length),
        promptCut: length > 8,
        responsesCut: responses.filter(({ text }) => text.length > 4).length,
        missingEnd: responses.some(({ text }) => text === 'endless'),
        changes: responses.map(() => 'none' as const),
        omissions: { earlierReasoning: false, changedMessages: 0, unusedFields: [] },
      };
      return { kind: 'measure' as const, measure };
    });
  const reading = { prompts: 'raw', measure } as const;

  it('counts what was read, used, dropped and cut', async () => {
    const path = file(
      [
        '{"prompt":"abc","chosen":"x","rejected":"y"}',
        '{"prompt":"abc","chosen":"x","rejected":""}',
        '{"prompt":"0123456789","chosen":"x","rejected":"endless"}',
        '{"prompt":"q","chosen":"same","rejected":"same"}',
        '{"prompt":"alone"}',
        'broken',
      ].join('\n'),
    );
    const audit = await auditRows(readRows([path]), { onBadRow: 'drop', limit: null, ...reading });
    expect(audit).toMatchObject({
      read: 6,
      used: 4,
      promptsAlone: 1,
      repeatedPrompts: 1,
      equalPairs: 1,
      emptyResponses: 1,
      truncatedPrompts: 1,
      truncatedResponses: 1,
      missingEnd: 1,
      longestRow: { tokens: 17, source: `${path}:3` },
    });
    expect(audit.dropped).toEqual(
      new Map([
        ['chosen equals rejected', 1],
        ['not JSON', 1],
      ]),
    );
    expect(formatAudit(audit)).toContain('Rows: 6 read, 4 used');
    expect(formatAudit(audit)).toContain('2 dropped: 1 chosen equals rejected, 1 not JSON');
  });

  it('stops at the limit', async () => {
    const path = file('{"prompt":"a"}\n{"prompt":"b"}\n{"prompt":"c"}\n');
    expect(await auditRows(readRows([path]), { onBadRow: 'stop', limit: 2, ...reading })).toMatchObject({
      read: 2,
      used: 2,
    });
  });
});

it('reads UltraFeedback: a chat prompt and two texts in every row', async () => {
  const path = join(packageRoot, 'test', 'fixtures', 'data', 'ultrafeedback-140.jsonl.gz');
  const rows = await collectRows(readRows([path]), { limit: null, onBadRow: 'stop' });
  expect(rows).toHaveLength(140);
  expect(rows.every((row) => row.prompt.kind === 'chat' && row.chosen !== null)).toBe(true);
});
