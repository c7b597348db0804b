/**
 * @file What people are asked and what they said, in two logs in a run's folder `people`: the run appends questions and which of
 * them are settled, the studio appends answers. A question is known by what it asks, so that nothing is asked twice.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { RankerError } from '../../errors.ts';
import { append, LogReader, whileLocked } from '../../files/durable-log.ts';
import { sha256 } from '../../files/hash.ts';
import type { ShownTurn } from '../../text/shown.ts';
import { OWNER } from './owner.ts';

/** Two texts to one prompt, in an order of their own: how they are shown is another matter. */
export interface Question {
  id: string;
  promptId: string;
  /** As a person reads it. */
  prompt: string;
  /** The same by turns, where it is a conversation of several; else empty. */
  turns: readonly ShownTurn[];
  texts: readonly [string, string];
  /** Why people are asked about this prompt, in words for them. */
  reason: string;
  /** Which text is known to be better, where this asks about the annotator (checks.ts); null: nobody knows. */
  gold: 'first' | 'second' | null;
  /** The question that this one repeats, for whoever answered it; null: none. */
  again: string | null;
}

/** Whether a ranking is made of the answers: they are about the texts, not about who answers. */
export function isRanked({ gold, again }: Pick<Question, 'gold' | 'again'>): boolean {
  return gold === null && again === null;
}

const question = z.object({
  kind: z.literal('asked'),
  id: z.string(),
  promptId: z.string(),
  prompt: z.string(),
  turns: z.array(z.object({ role: z.string(), text: z.string() })).default([]),
  texts: z.tuple([z.string(), z.string()]),
  reason: z.string().default(''),
  gold: z.enum(['first', 'second']).nullable().default(null),
  again: z.string().nullable().default(null),
});
const settled = z.object({ kind: z.literal('settled'), ids: z.array(z.string()) });
const asked = z.discriminatedUnion('kind', [question, settled]);

/** What a person says; `both-bad` is a tie of two texts that neither is good. */
export const CHOICES = ['first', 'second', 'tie', 'both-bad', 'skip'] as const;
export type Choice = (typeof CHOICES)[number];
export const STRENGTHS = ['some', 'much'] as const;
/** Reasons for a choice. */
export const TAGS = ['helpful', 'true', 'safe', 'well written', 'follows the prompt'] as const;

const answer = z.object({
  kind: z.literal('answer'),
  question: z.string(),
  /** Who says it. */
  annotator: z.string().default(OWNER),
  choice: z.enum(CHOICES),
  /** How much better the better one is. */
  strength: z.enum(STRENGTHS).default('some'),
  /** Reasons, as far as somebody gave any. */
  tags: z.array(z.enum(TAGS)).default([]),
  /** Somebody should look at this one. */
  isFlagged: z.boolean().default(false),
  /** The better text as it should have been, in the annotator's own words. */
  edit: z.string().nullable().default(null),
  /** Which text stood on the left. */
  left: z.enum(['first', 'second']),
  /** Seconds for which it was shown. */
  seconds: z.number(),
  /** Given by the page: an answer that is sent again is the same answer. */
  key: z.string(),
  timeMs: z.number(),
});
const undo = z.object({
  kind: z.literal('undo'),
  question: z.string(),
  annotator: z.string().default(OWNER),
  key: z.string(),
  timeMs: z.number(),
});
const said = z.discriminatedUnion('kind', [answer, undo]);

/** An answer, or that one is taken back. */
export type Said = z.output<typeof said>;
export type Answer = Extract<Said, { kind: 'answer' }>;

const QUESTIONS = 'questions.jsonl';
const ANSWERS = 'answers.jsonl';

/** The folder of people's questions in a run. */
export function peopleFolder(runPath: string): string {
  return join(runPath, 'people');
}

/** A question about two texts, the same whichever comes first. */
export function questionOf(
  {
    promptId,
    prompt,
    turns = [],
    reason = '',
  }: { promptId: string; prompt: string; turns?: readonly ShownTurn[]; reason?: string },
  [a, b]: readonly [string, string],
): Question {
  const texts: [string, string] = a < b ? [a, b] : [b, a];
  const id = sha256(JSON.stringify([promptId, ...texts])).slice(0, 32);
  return { id, promptId, prompt, turns, texts, reason, gold: null, again: null };
}

/** Everything asked and said in a run. */
export interface Questions {
  /** In the order in which they were asked. */
  asked: ReadonlyMap<string, Question>;
  settled: ReadonlySet<string>;
  /** What stands, the latest last: one answer of an annotator to a question; what was taken back is gone. */
  answers: readonly Answer[];
  /** The same by question. */
  answersTo: ReadonlyMap<string, readonly Answer[]>;
  /** Of everything said, taken back or not. */
  keys: ReadonlySet<string>;
}

/** Follows both logs of a folder, and reads each line of them once. */
export class QuestionLog {
  readonly folder: string;
  #readers: { questions: LogReader; answers: LogReader };
  readonly #asked = new Map<string, Question>();
  readonly #settled = new Set<string>();
  readonly #standing = new Map<string, Answer>();
  readonly #answersTo = new Map<string, Answer[]>();
  readonly #keys = new Set<string>();
  #answers: readonly Answer[] | null = null;

  constructor(folder: string) {
    this.folder = folder;
    this.#readers = readersOf(folder);
  }

  /** Everything as it stands now. What an earlier call gave changes with it. */
  read(): Questions {
    const [questions, answers] = [this.#readers.questions.read(), this.#readers.answers.read()];
    if (questions.isAnew || answers.isAnew) {
      this.#readers = readersOf(this.folder);
      for (const each of [this.#asked, this.#settled, this.#standing, this.#answersTo, this.#keys]) each.clear();
      this.#answers = null;
      return this.read();
    }
    for (const each of questions.values.flatMap((value) => asked.safeParse(value).data ?? [])) {
      if (each.kind === 'asked') this.#asked.set(each.id, each);
      else for (const id of each.ids) this.#settled.add(id);
    }
    for (const each of answers.values.flatMap((value) => said.safeParse(value).data ?? [])) this.#hear(each);
    this.#answers ??= [...this.#standing.values()];
    return {
      asked: this.#asked,
      settled: this.#settled,
      answers: this.#answers,
      answersTo: this.#answersTo,
      keys: this.#keys,
    };
  }

  #hear(saying: Said): void {
    const { question, annotator, key } = saying;
    const place = JSON.stringify([question, annotator]);
    const others = (this.#answersTo.get(question) ?? []).filter((each) => each.annotator !== annotator);
    this.#standing.delete(place); // the latest stands last
    if (saying.kind === 'answer') this.#standing.set(place, saying);
    this.#answersTo.set(question, saying.kind === 'answer' ? [...others, saying] : others);
    this.#keys.add(key);
    this.#answers = null;
  }
}

function readersOf(folder: string): { questions: LogReader; answers: LogReader } {
  return {
    questions: new LogReader(join(folder, QUESTIONS)),
    answers: new LogReader(join(folder, ANSWERS)),
  };
}

/** Reads both logs, once. */
export function readQuestions(folder: string): Questions {
  return new QuestionLog(folder).read();
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
  log: QuestionLog,
  use: (questions: Questions) => { result: Result; ids: readonly string[] } | null,
): Promise<Result | null> {
  return whileLocked(log.folder, () => {
    const used = use(log.read());
    if (used === null) return null;
    if (used.ids.length > 0) append(log.folder, QUESTIONS, [{ kind: 'settled', ids: used.ids }]);
    return used.result;
  });
}

/**
 * Keeps what was said; when it resolves, it is on the disk. The same key again changes nothing.
 *
 * @param log of the run's folder; one that stays reads only what came since it was last read
 * @throws RankerError PEOPLE_QUESTION_UNKNOWN, PEOPLE_QUESTION_SETTLED
 */
export async function say(log: QuestionLog, saying: Said): Promise<void> {
  await whileLocked(log.folder, () => {
    const { asked: known, settled: closed, keys } = log.read();
    if (keys.has(saying.key)) return;
    if (!known.has(saying.question)) {
      throw new RankerError(
        'PEOPLE_QUESTION_UNKNOWN',
        'Cannot keep this answer: the run does not ask that question (any more): answer the next one',
      );
    }
    if (closed.has(saying.question)) {
      throw new RankerError(
        'PEOPLE_QUESTION_SETTLED',
        'Cannot change this answer: the run has used it, or continues without it: answer the next one',
      );
    }
    append(log.folder, ANSWERS, [saying]);
  });
}
