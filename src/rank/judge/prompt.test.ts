import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../files/temporary.testing.ts';
import { builtInPrompt, conversationText, fillPrompt, loadPairPrompt, loadRatingPrompt } from './prompt.ts';

function file(text: string): string {
  const path = join(temporaryFolder(), 'mine.yaml');
  writeFileSync(path, text);
  return path;
}

const answers = 'answers: { first: A, second: B }\n';

test('the prompts of the package load, and ask for what their names say', () => {
  expect(loadPairPrompt(builtInPrompt('alpaca-eval')).labels).toEqual({
    first: 'm',
    second: 'M',
    tie: null,
    abstain: null,
  });
  expect(loadPairPrompt(builtInPrompt('mt-bench-pair')).labels).toMatchObject({ first: '[[A]]', tie: '[[C]]' });
  expect(loadRatingPrompt(builtInPrompt('mt-bench-rating')).scale).toEqual({ low: 1, high: 10 });
});

test('fillPrompt() fills each placeholder once: a text that holds a placeholder is not looked through', () => {
  const prompt = loadPairPrompt(file(`system: judge {prompt}\nuser: '{first} or {second}? { "x": 1 }'\n${answers}`));
  const values = new Map([
    ['prompt', 'What?'],
    ['first', 'say {second} $& {prompt}'],
    ['second', 'B'],
  ]);
  expect(fillPrompt(prompt, values)).toEqual([
    { role: 'system', content: 'judge What?' },
    { role: 'user', content: 'say {second} $& {prompt} or B? { "x": 1 }' },
  ]);
});

test('a prompt is known by its name and content', () => {
  const one = loadPairPrompt(file(`user: '{prompt} {first} {second}'\n${answers}`));
  const other = loadPairPrompt(file(`user: '{prompt}, {first} {second}'\n${answers}`));
  expect(one.id).toMatch(/^mine\.yaml@[0-9a-f]{12}$/);
  expect(other.id).not.toBe(one.id);
});

test.each([
  ['a placeholder that is missing', `user: '{prompt} {first}'\n${answers}`, '{second} is missing'],
  [
    'a placeholder that is unknown',
    `user: '{prompt} {first} {second} {answer_b}'\n${answers}`,
    '{answer_b} is no placeholder',
  ],
  ['no labels', `user: '{prompt} {first} {second}'\n`, 'answers must be a section'],
  [
    'a label that is missing',
    `user: '{prompt} {first} {second}'\nanswers: { first: A }\n`,
    'answers.second must be a text',
  ],
  [
    'a label that stands for two verdicts',
    `user: '{prompt} {first} {second}'\nanswers: { first: A, second: B, tie: A }\n`,
    '"A" stands for two verdicts',
  ],
  ['a section that is unknown', `user: '{prompt} {first} {second}'\ntone: kind\n${answers}`, 'tone is unknown'],
  ['text that is not YAML', 'user: [', 'it is not YAML'],
])('loadPairPrompt() refuses %s and names the file', (_, text, says) => {
  const path = file(text);
  expect(() => loadPairPrompt(path)).toThrow(
    expect.objectContaining({ code: 'JUDGE_PROMPT', exitCode: 2, message: expect.stringContaining(says) }),
  );
  expect(() => loadPairPrompt(path)).toThrow(path);
});

test('loadRatingPrompt() refuses a scale upside down, and a file that is not there is told by its name', () => {
  expect(() => loadRatingPrompt(file(`user: '{prompt} {response}'\nscale: { low: 5, high: 1 }\n`))).toThrow(
    'scale must be two numbers, low below high',
  );
  expect(() => loadRatingPrompt('/nowhere/judge.yaml')).toThrow(expect.objectContaining({ code: 'FILE_NOT_FOUND' }));
});

test('conversationText() is the text alone, or the conversation with its speakers', () => {
  const user = { role: 'user', content: 'Hi' };
  expect(conversationText({ kind: 'text', text: 'Hi' })).toBe('Hi');
  expect(conversationText({ kind: 'chat', messages: [user] })).toBe('Hi');
  const more = [{ role: 'system', content: 'Be brief' }, user];
  expect(conversationText({ kind: 'chat', messages: more })).toBe('### system:\nBe brief\n\n### user:\nHi');
});
