/**
 * @file What people are asked and what they said, in two logs in a run's folder `people`: the run appends questions and which of
 * them are settled, the studio appends answers. A question is known by what it asks, so that nothing is asked twice.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { RankerError } from '../../errors.ts';
import { sha256 } from '../../files/hash.ts';
import { append, readLog, whileLocked } from './durable-log.ts';

/** Two texts to one prompt, in an order of their own: how they are shown is another matter. */
export interface Question {
  id: string;
  promptId: string;
  /** As a person reads it. */
  prompt: string;
  texts: readonly [string, string];
}

const question = z.object({
  kind: z.literal('asked'),
  id: z.string(),
  promptId: z.string(),
  prompt: z.string(),
  texts: z.tuple([z.string(), z.string()]),
});
const settled = z.object({ kind: z.literal('settled'), ids: z.array(z.string()) });
const asked = z.discriminatedUnion('kind', [question, settled]);

/** What a person says; `both-bad` is a tie of two texts that neither is good. */
export const CHOICES = ['first', 'second', 'tie', 'both-bad', 'skip'] as const;
export type Choice = (typeof CHOICES)[number];

const answer = z.object({
  kind: z.literal('answer'),
  question: z.string(),
  choice: z.enum(CHOICES),
  /** Which text stood on the left. */
  left: z.enum(['first', 'second']),
  /** Seconds for which it was shown. */
  seconds: z.number(),
  /** Given by the page: an answer that is sent again is the same answer. */
  key: z.string(),
  timeMs: z.number(),
});
const undo = z.object({ kind: z.literal('undo'), question: z.string(), key: z.string(), timeMs: z.number() });
const said = z.discriminatedUnion('kind', [answer, undo]);

/** An answer, or that one is taken back. */
export type Said = z.output<typeof said>;

const QUESTIONS = 'questions.jsonl';
const ANSWERS = 'answers.jsonl';

/** The folder of people's questions in a run. */
export function peopleFolder(runPath: string): string {
  return join(runPath, 'people');
}

/** A question about two texts, the same whichever comes first. */
export function questionOf(promptId: string, prompt: string, a: string, b: string): Question {
  const texts: [string, string] = a < b ? [a, b] : [b, a];
  return { id: sha256(JSON.stringify([promptId, ...texts])).slice(0, 32), promptId, prompt, texts };
}

/** Everything asked and said in a run. */
export interface Questions {
  /** In the order in which they were asked. */
  asked: ReadonlyMap<string, Question>;
  settled: ReadonlySet<string>;
  /** What stands: taken back answers are gone. */
  answers: ReadonlyMap<string, Extract<Said, { kind: 'answer' }>>;
  /** Of everything said, taken back or not. */
  keys: ReadonlySet<string>;
}

/** Reads both logs. */
export function readQuestions(folder: string): Questions {
  const questions = readLog(join(folder, QUESTIONS)).flatMap((value) => asked.safeParse(value).data ?? []);
  const sayings = readLog(join(folder, ANSWERS)).flatMap((value) => said.safeParse(value).data ?? []);
  const answers = new Map<string, Extract<Said, { kind: 'answer' }>>();
  for (const each of sayings) {
    answers.delete(each.question); // the latest stands last
    if (each.kind === 'answer') answers.set(each.question, each);
  }
  return {
    asked: new Map(questions.flatMap((each) => (each.kind === 'asked' ? [[each.id, each]] : []))),
    settled: new Set(questions.flatMap((each) => (each.kind === 'settled' ? each.ids : []))),
    answers,
    keys: new Set(sayings.map(({ key }) => key)),
  };
}

/** Asks what was not asked yet. */
export function ask(folder: string, questions: readonly Question[]): void {
  append(
    folder,
    QUESTIONS,
    questions.map((each) => ({ kind: 'asked', ...each })),
  );
}

/**
 * Settles questions: what `use` makes of the answers as they stand is what counts, for no answer is given or taken back
 * from then on. Where `use` gives nothing (an answer was taken back in the meantime), nothing is settled.
 */
export async function settle<Result>(
  folder: string,
  use: (answers: Questions['answers']) => { result: Result; ids: readonly string[] } | null,
): Promise<Result | null> {
  return whileLocked(folder, () => {
    const used = use(readQuestions(folder).answers);
    if (used === null) return null;
    if (used.ids.length > 0) append(folder, QUESTIONS, [{ kind: 'settled', ids: used.ids }]);
    return used.result;
  });
}

/**
 * Keeps what was said; when it resolves, it is on the disk. The same key again changes nothing.
 *
 * @throws RankerError PEOPLE_QUESTION_UNKNOWN, PEOPLE_QUESTION_SETTLED
 */
export async function say(folder: string, saying: Said): Promise<void> {
  await whileLocked(folder, () => {
    const { asked: known, settled: closed, keys } = readQuestions(folder);
    if (keys.has(saying.key)) return;
    if (!known.has(saying.question)) {
      throw new RankerError(
        'PEOPLE_QUESTION_UNKNOWN',
        'Cannot keep this answer: the run did not ask that question (any more): go on with the next one',
      );
    }
    if (closed.has(saying.question)) {
      throw new RankerError(
        'PEOPLE_QUESTION_SETTLED',
        'Cannot change this answer: the run has used it, or goes on without it: go on with the next one',
      );
    }
    append(folder, ANSWERS, [saying]);
  });
}
