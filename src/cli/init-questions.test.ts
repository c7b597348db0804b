/** @file The questions of `selm init` on a terminal: completion, asking again, and leaving them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { askMissing, completePath } from './init-questions.ts';

const given = { model: 'hub:owner/name', data: import.meta.filename, reward: 'reward.ts' };

/** A terminal at which each text is typed when a question has been shown. */
function terminal(...typed: string[]) {
  const input = new PassThrough();
  const output = new PassThrough();
  let shown = '';
  output.on('data', (data: Buffer) => {
    shown += data.toString();
    if (/: $/.test(data.toString()) || data.toString().includes(': \u001b')) {
      const next = typed.shift();
      if (next !== undefined) setImmediate(() => input.write(next));
    }
  });
  return { input, output, shown: () => shown };
}

test('a wrong answer is asked again with what is allowed, and an empty one is the default', async () => {
  const asked = terminal('Not A Name\r', '\r');
  const answers = await askMissing(given, { defaults: { name: 'first' }, terminal: asked });
  expect(answers).toEqual({ ...given, name: 'first' });
  expect(asked.shown()).toContain('allowed are up to 64 of a-z');
});

test.each([
  ['Ctrl-C', '\u0003'],
  ['Ctrl-D', '\u0004'],
])('%s at a question leaves it', async (_, key) => {
  const asking = askMissing(given, { defaults: {}, terminal: terminal(key) });
  await expect(asking).rejects.toMatchObject({ code: 'QUESTION_LEFT' });
});

test.each([
  [{ model: 'HuggingFaceTB/SmolLM2' }, 'did you mean hub:HuggingFaceTB/SmolLM2?'],
  [{ model: 'hub:no name' }, 'has the repository "no name"'],
  [{ reward: 'absent.py' }, 'a program in another language has to be there already'],
])('an option that cannot be used says what would: %o', async (wrong, says) => {
  const answers = { ...given, name: 'first', ...wrong };
  await expect(askMissing(answers, { defaults: {}, terminal: null })).rejects.toThrow(says);
});

test('completePath() gives the paths that go on from what was typed', () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'data'));
  for (const name of ['data.jsonl', 'other', '.hidden']) writeFileSync(join(folder, name), '');
  expect(completePath(`${folder}/da`)).toEqual([[`${folder}/data.jsonl`, `${folder}/data/`], `${folder}/da`]);
  expect(completePath(`${folder}/`)[0]).toHaveLength(3);
  expect(completePath(`${folder}/absent/x`)[0]).toEqual([]);
});
