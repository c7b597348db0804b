/**
 * @file Answers of a judge in a JSONL file, for ranking without a run: one reply a line, appended and fsynced as it comes,
 * so that a command that was stopped or killed asks nothing twice.
 */
import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { z } from 'zod';
import { RankerError } from '../errors.ts';
import { fileError } from '../files/fs.ts';
import { type AnswerStore, memoryAnswers, type RawAnswer } from './services.ts';

const line = z.object({
  key: z.string(),
  rankerId: z.string(),
  outcome: z.enum(['answer', 'problem']),
  text: z.string(),
  promptTokens: z.number().nullable(),
  completionTokens: z.number().nullable(),
});

/** An open file of answers. */
export interface AnswerFile extends AnswerStore {
  close(): void;
}

/** Opens or creates the file; a last line that a crash tore is cut off. Throws RankerError for a file of something else. */
export function openAnswerFile(path: string): AnswerFile {
  try {
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    const store = memoryAnswers(parseLines(whole, path));
    const file = openSync(path, 'a');
    if (whole.length < text.length) ftruncateSync(file, Buffer.byteLength(whole));
    return {
      get: store.get,
      spent: store.spent,
      put(key, answer) {
        try {
          writeSync(file, `${JSON.stringify({ key, ...answer })}\n`);
          fsyncSync(file);
        } catch (error) {
          throw fileError(error, { action: 'write', path });
        }
        store.put(key, answer);
      },
      close: () => closeSync(file),
    };
  } catch (error) {
    throw fileError(error, { action: 'open', path });
  }
}

function* parseLines(text: string, path: string): Generator<[string, RawAnswer]> {
  for (const [index, each] of text.split('\n').entries()) {
    if (each === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(each);
    } catch {
      // Told below.
    }
    const parsed = line.safeParse(value);
    if (!parsed.success) {
      throw new RankerError(
        'ANSWERS_FOREIGN',
        `Cannot use "${path}" for answers: its line ${index + 1} is not a judge's answer: give a new file, or one that this command wrote`,
        { details: { path, line: index + 1 } },
      );
    }
    const { key, ...answer } = parsed.data;
    yield [key, answer];
  }
}
