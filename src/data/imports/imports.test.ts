import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { labelledRowsOf } from '../label-rows.ts';
import { parseRow } from '../rows.ts';
import { IMPORT_FORMS, importRows, rowsOf } from './import.ts';
import type { ImportedRow, ImportForm } from './row.ts';

const source = { file: 'export.json', line: 1 };
const formOf = (name: string): ImportForm => IMPORT_FORMS.find((form) => form.name === name) ?? missing(name);
const read = (name: string, ...values: Record<string, unknown>[]) =>
  rowsOf(
    values.map((value) => ({ kind: 'record', value, source })),
    formOf(name),
  );

function missing(name: string): never {
  throw new Error(`No form ${name}`);
}

/** A chat of Open WebUI in which one message was answered twice, and the second answer is shown. */
function chatWith(changes: Record<string, Record<string, unknown>> = {}): Record<string, unknown> {
  const messages: Record<string, Record<string, unknown>> = {
    q: { parentId: null, role: 'user', content: 'Tell me a story.' },
    a: { parentId: 'q', role: 'assistant', content: 'No.' },
    b: { parentId: 'q', role: 'assistant', content: 'Once upon a time.' },
  };
  for (const [id, change] of Object.entries(changes)) messages[id] = { ...messages[id], ...change };
  return { id: 'chat', title: 'A story', chat: { history: { messages, currentId: 'b' } } };
}

const prompt = [{ role: 'user', content: 'Tell me a story.' }];
const shownOverOther: ImportedRow = { kind: 'pair', prompt, chosen: 'Once upon a time.', rejected: 'No.' };

describe('Open WebUI', () => {
  it('the answer that is shown is better than those that were regenerated', () => {
    expect(read('open-webui', chatWith())).toEqual([shownOverOther]);
  });

  it('a thumb is a label, and says more than what is shown', () => {
    const rows = read(
      'open-webui',
      chatWith({ a: { annotation: { rating: 1 } }, b: { annotation: { rating: '-1' } } }),
    );
    expect(rows).toEqual([
      { kind: 'label', prompt, completion: 'No.', label: true },
      { kind: 'label', prompt, completion: 'Once upon a time.', label: false },
      { kind: 'pair', prompt, chosen: 'No.', rejected: 'Once upon a time.' },
    ]);
  });

  it('an answer that a person rewrote is better than what it was', () => {
    const rows = read('open-webui', chatWith({ b: { originalContent: 'Once.' } }));
    expect(rows).toContainEqual({ kind: 'pair', prompt, chosen: 'Once upon a time.', rejected: 'Once.' });
  });

  it('answers whose thumbs are both down make no pair', () => {
    const rows = read('open-webui', chatWith({ a: { annotation: { rating: -1 } }, b: { annotation: { rating: -1 } } }));
    expect(rows.filter(({ kind }) => kind === 'pair')).toEqual([]);
  });

  it('a message whose parent is not in the export is named, and the others stay', () => {
    const rows = read('open-webui', chatWith({ c: { parentId: 'gone', role: 'assistant', content: 'Hm.' } }));
    expect(rows).toEqual([
      { kind: 'problem', problem: 'a message is missing', detail: expect.stringContaining('gone') as string, source },
      shownOverOther,
    ]);
  });

  it('messages that follow each other in a circle end nowhere', () => {
    const rows = read('open-webui', chatWith({ q: { parentId: 'b' } }));
    expect(rows.map((row) => row.kind)).toEqual(['problem', 'problem']);
  });
});

describe('rated responses', () => {
  const pair = { kind: 'pair', prompt: [{ role: 'user', content: 'Hi' }], chosen: 'good', rejected: 'bad' };

  it("UltraFeedback: the best over the worst, by the score or the aspects' mean", () => {
    const completions = [
      { response: 'bad', overall_score: 2 },
      { response: 'fair', overall_score: 5 },
      { response: 'good', annotations: { helpfulness: { Rating: '9' }, honesty: { Rating: 'N/A' } } },
    ];
    expect(read('ultrafeedback', { instruction: 'Hi', completions })).toEqual([pair]);
  });

  it('HelpSteer 3: below 0 the first is better', () => {
    const row = { context: [{ role: 'user', content: 'Hi' }], response1: 'good', response2: 'bad' };
    expect(read('helpsteer', { ...row, overall_preference: -2 })).toEqual([pair]);
    expect(read('helpsteer', { ...row, overall_preference: 0 })).toMatchObject([{ problem: 'all rated alike' }]);
  });

  it('HelpSteer 2 in preferences: the columns have other names', () => {
    const row = { prompt: 'Hi', response_1: 'bad', response_2: 'good', preference_strength: 3 };
    expect(read('helpsteer', row)).toEqual([pair]);
  });

  it('HelpSteer 1 and 2: the more helpful of the responses that follow each other under one prompt', () => {
    const rated = (response: string, helpfulness: number) => ({ prompt: 'Hi', response, helpfulness, verbosity: 4 });
    expect(read('helpsteer', rated('bad', 1), rated('fair', 2), rated('good', 4))).toEqual([pair]);
    expect(read('helpsteer', rated('alone', 1))).toMatchObject([{ problem: 'no two rated responses' }]);
  });

  it('HelpSteer: a prompt of several turns is a conversation', () => {
    const turns = 'A\n<extra_id_1>Assistant\nB\n<extra_id_1>User\nC\n<extra_id_1>Assistant\n';
    const row = { prompt: turns, response_1: 'bad', response_2: 'good', preference_strength: 1 };
    expect(read('helpsteer', row)).toMatchObject([
      { prompt: [{ role: 'user', content: 'A' }, { role: 'assistant', content: 'B' }, { content: 'C' }] },
    ]);
  });

  it('Nectar: rank 1 over the last, behind a transcript', () => {
    const answers = [
      { answer: 'bad', rank: 7 },
      { answer: 'good', rank: 1 },
    ];
    expect(read('nectar', { prompt: '\n\nHuman: Hi\n\nAssistant: ', answers })).toEqual([pair]);
    const several = read('nectar', { prompt: '\n\nHuman: A\n\nAssistant: B\n\nHuman: C\n\nAssistant: ', answers });
    expect(several).toMatchObject([
      { prompt: [{ content: 'A' }, { role: 'assistant', content: 'B' }, { content: 'C' }] },
    ]);
  });

  it('distilabel: generations with ratings; one without a rating is left out', () => {
    const row = { instruction: 'Hi', generations: ['bad', 'worst?', 'good'], ratings: [1, null, 5] };
    expect(read('distilabel', row)).toEqual([pair]);
  });

  it('Argilla: rankings of several annotators by their mean place; drafts do not count', () => {
    const fields = { instruction: 'Hi', 'response-1': 'bad', 'response-2': 'good', 'response-3': 'fair' };
    const ranking = (first: string, second: string, third: string) =>
      [first, second, third].map((value, i) => ({ value, rank: i + 1 }));
    const responses = {
      ranking: [
        { value: ranking('response-2', 'response-3', 'response-1'), status: 'submitted' },
        { value: ranking('response-3', 'response-2', 'response-1'), status: 'submitted' },
        { value: ranking('response-2', 'response-1', 'response-3'), status: 'submitted' },
        { value: ranking('response-1', 'response-3', 'response-2'), status: 'draft' },
      ],
    };
    expect(read('argilla', { fields, responses })).toEqual([pair]);
  });

  it('Argilla: the choice of one response, in a flat record; other questions say nothing', () => {
    const record = {
      id: 'r1',
      prompt: 'Hi',
      a: 'good',
      b: 'bad',
      'better.responses': ['a', 'b', 'a'],
      'better.responses.status': ['submitted', 'discarded', 'submitted'],
      'comment.responses': ['The second one is rude.'],
    };
    expect(read('argilla', record)).toEqual([pair]);
    expect(read('argilla', { ...record, 'better.responses': [] })).toMatchObject([{ problem: 'no rating' }]);
  });

  it.each([
    [
      'ultrafeedback',
      { instruction: 'Hi', completions: [{ response: 'a', overall_score: 1 }] },
      'no two rated responses',
    ],
    ['ultrafeedback', { instruction: '', completions: [] }, 'no text'],
    ['nectar', { prompt: 'Hi', answers: 'none' }, 'not of the form'],
    ['helpsteer', { prompt: 'Hi', response1: 'a', response2: 'b' }, 'no rating'],
    ['open-webui', { chat: [] }, 'not of the form'],
  ])('%s: %o is counted: %s', (name, value, problem) => {
    expect(read(name, value)).toMatchObject([{ kind: 'problem', problem, source }]);
  });
});

describe('the file that is written', () => {
  it('has one row of the records that follow each other under one prompt', async () => {
    const folder = temporaryFolder();
    const input = join(folder, 'helpsteer.jsonl');
    const rows = ['a', 'a', 'b', 'b', 'b'].map((prompt, i) => ({
      prompt,
      response: `${prompt}${i}`,
      helpfulness: i % 4,
    }));
    writeFileSync(input, rows.map((row) => JSON.stringify(row)).join('\n'));
    const form = formOf('helpsteer');
    const found = await importRows([input], join(folder, 'pairs.jsonl'), { form, kind: 'pair' });
    expect(found).toMatchObject({ records: 5, pairs: 2 });
    const lines = readFileSync(join(folder, 'pairs.jsonl'), 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { chosen: unknown }).chosen)).toEqual([
      [{ role: 'assistant', content: 'a1' }],
      [{ role: 'assistant', content: 'b3' }],
    ]);
  });

  it('is read by training, row by row, and the rest is counted with its first place', async () => {
    const folder = temporaryFolder();
    const input = join(folder, 'export.json');
    writeFileSync(input, JSON.stringify([chatWith({ b: { annotation: { rating: 1 } } }), { chat: {} }, { chat: {} }]));
    const form = formOf('open-webui');
    const pairs = await importRows([input], join(folder, 'pairs.jsonl'), { form, kind: 'pair' });
    expect(pairs).toMatchObject({ records: 3, pairs: 1, labels: 1 });
    expect([...pairs.problems.values()]).toEqual([
      { count: 2, first: expect.stringMatching(/export\.json:2: /) as string },
    ]);
    const line = readFileSync(join(folder, 'pairs.jsonl'), 'utf8').trimEnd();
    expect(parseRow(line, source)).toMatchObject({
      kind: 'row',
      row: { chosen: 'Once upon a time.', rejected: 'No.' },
    });
    await importRows([input], join(folder, 'labels.jsonl'), { form, kind: 'label' });
    const label = JSON.parse(readFileSync(join(folder, 'labels.jsonl'), 'utf8')) as Record<string, unknown>;
    expect(labelledRowsOf({ kind: 'record', value: label, source })).toMatchObject({ rows: [{ desirable: true }] });
  });
});

describe('Label Studio', () => {
  const data = { prompt: 'Tell me a story.', response_1: 'No.', response_2: 'Once upon a time.' };
  const annotation = (to_name: unknown, selected: string, changes: Record<string, unknown> = {}) => ({
    result: [{ type: 'pairwise', from_name: 'pw', to_name, value: { selected } }],
    ...changes,
  });

  it('a task prefers the side that was selected, by the names of its tags or the order of its data', () => {
    for (const each of [
      annotation('txt-1,txt-2', 'right'),
      annotation('response-2,response-1', 'left'),
      annotation(['response_2', 'response_1'], 'left'),
    ])
      expect(read('label-studio', { id: 1, data, annotations: [each] })).toEqual([shownOverOther]);
  });

  it('what most people select is chosen; one for each, a skipped task, or another form is no pair', () => {
    const task = (...annotations: unknown[]) => read('label-studio', { data, annotations });
    const [left, right] = [annotation('a,b', 'left'), annotation('a,b', 'right')];
    expect(task(right, left, right)).toEqual([shownOverOther]);
    expect(task(right, left)).toMatchObject([{ problem: 'all rated alike' }]);
    expect(task(annotation('a,b', 'left', { was_cancelled: true }))).toMatchObject([{ problem: 'no selection' }]);
    expect(read('label-studio', { data })).toMatchObject([{ problem: 'not of the form' }]);
    expect(read('label-studio', { data: { a: 'b' }, annotations: [] })).toMatchObject([{ problem: 'no prompt' }]);
  });
});
