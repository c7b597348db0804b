import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { readCandidates } from './candidates.ts';

function file(...rows: unknown[]): string {
  const path = join(temporaryFolder(), 'rows.jsonl');
  writeFileSync(path, rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join(''));
  return path;
}

test('readCandidates() takes responses, or a pair, with the prompts of every other data file', async () => {
  const chat = [{ role: 'user', content: 'Hi' }];
  const path = file(
    { prompt: 'p', prompt_id: 'one', responses: ['a', 'b', 'c'] },
    { messages: chat, responses: ['a'], chosen: 'left aside', rejected: 'too' },
    { prompt: 'q', chosen: 'good', rejected: 'bad' },
  );
  const rows = await readCandidates([path]);
  expect(rows).toMatchObject([
    {
      promptId: 'one',
      prompt: { kind: 'text', text: 'p' },
      responses: ['a', 'b', 'c'],
      chosen: null,
      source: { line: 1 },
    },
    { prompt: { kind: 'chat', messages: chat }, responses: ['a'], chosen: null, rejected: null },
    { responses: [], chosen: 'good', rejected: 'bad', source: { line: 3 } },
  ]);
});

test.each([
  ['a prompt alone', { prompt: 'p' }, 'field "responses": nothing to rank'],
  ['no responses', { prompt: 'p', responses: [] }, 'field "responses": wrong type: it is []'],
  ['responses that are no texts', { prompt: 'p', responses: ['a', 7] }, 'it is ["a",7], allowed is a list of texts'],
  ['responses without prompt', { responses: ['a'] }, 'field "prompt": no prompt'],
  ['a line that is not JSON', '{', 'not JSON'],
])('readCandidates() refuses %s with its place', async (_, row, says) => {
  const path = file({ prompt: 'p', responses: ['a'] }, row);
  await expect(readCandidates([path])).rejects.toMatchObject({
    code: 'ROW_UNUSABLE',
    exitCode: 2,
    message: expect.stringContaining(`${path}:2`),
  });
  await expect(readCandidates([path])).rejects.toThrow(says);
});
