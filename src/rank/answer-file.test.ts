import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { openAnswerFile } from './answer-file.ts';
import type { RawAnswer } from './services.ts';

const answer: RawAnswer = { rankerId: 'j', outcome: 'answer', text: 'ü\n', promptTokens: 3, completionTokens: null };

test('an answer file gives back what was put, counts spending by ranker, and never takes a problem for an answer', () => {
  const path = join(temporaryFolder(), 'answers.jsonl');
  const file = openAnswerFile(path);
  file.put('a', { ...answer, outcome: 'problem' });
  expect(file.get('a')).toBeNull();
  file.put('a', answer);
  file.close();
  const again = openAnswerFile(path);
  expect([again.get('a'), again.get('b')]).toEqual(['ü\n', null]);
  expect(again.spent('j')).toEqual({ calls: 2, promptTokens: 6, completionTokens: 0 });
  expect(again.spent('other').calls).toBe(0);
  again.close();
});

test('a last line that a crash tore is cut off, and what comes next is whole', () => {
  const path = join(temporaryFolder(), 'answers.jsonl');
  const file = openAnswerFile(path);
  file.put('a', answer);
  file.close();
  const whole = readFileSync(path);
  for (const cut of [1, 20, whole.length - 1]) {
    writeFileSync(path, whole);
    appendFileSync(path, whole.subarray(0, cut));
    const torn = openAnswerFile(path);
    torn.put('b', answer);
    torn.close();
    const again = openAnswerFile(path);
    expect([again.get('a'), again.get('b'), again.spent('j').calls]).toEqual(['ü\n', 'ü\n', 2]);
    again.close();
  }
});

test('a file of something else is refused with its line and left as it is', () => {
  const path = join(temporaryFolder(), 'rows.jsonl');
  writeFileSync(path, '{"prompt":"p"}\n');
  expect(() => openAnswerFile(path)).toThrow(expect.objectContaining({ code: 'ANSWERS_FOREIGN', exitCode: 2 }));
  expect(() => openAnswerFile(path)).toThrow(/line 1/);
  expect(readFileSync(path, 'utf8')).toBe('{"prompt":"p"}\n');
});
