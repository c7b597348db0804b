/** @file What a run asks people, as a page shows it, and what they say back. Nothing is acknowledged before it is on the disk. */
import { z } from 'zod';
import { sha256 } from '../files/hash.ts';
import {
  type Choice,
  isRanked,
  type Question,
  type QuestionLog,
  type Questions,
  STRENGTHS,
  say,
  TAGS,
} from '../rank/people/questions.ts';
import type { Recipe } from '../recipe/schema.ts';
import { type SecondRankerSections, secondRankerOf } from '../recipe/second-ranker.ts';
import type { GivenAnswer, OpenQuestions, ShownQuestion } from './api.ts';
import type { Leases } from './leases.ts';

/** Questions that a page is given at once: the next is there while the last is on its way. */
const NEXT = 5;

/** Characters of an edited text; an answer has at most 10 KB. */
const LONGEST_EDIT = 8000;

/** Parser of an answer. */
export const givenAnswer = z.strictObject({
  question: z.string().max(100),
  choice: z.enum(['left', 'right', 'tie', 'both-bad', 'skip', 'undo']),
  strength: z.enum(STRENGTHS).default('some'),
  tags: z.array(z.enum(TAGS)).max(TAGS.length).default([]),
  isFlagged: z.boolean().default(false),
  edit: z.string().min(1).max(LONGEST_EDIT).nullable().default(null),
  seconds: z.number().min(0).max(1e6),
  key: z.string().min(8).max(100),
}) satisfies z.ZodType<GivenAnswer>;

/** How many answers a run that asks people still waits for. */
export function questionsLeft(questions: QuestionLog, recipe: Parameters<typeof votesOf>[0]): number {
  const votes = votesOf(recipe);
  return votes === null ? 0 : openTo(questions.read(), { votes, annotator: null }).length;
}

/** How many people answer each question of a run; null where it asks none. */
export function votesOf(recipe: Pick<Recipe, 'ranker'> & SecondRankerSections): number | null {
  const people = [recipe.ranker, secondRankerOf(recipe)].find((settings) => settings?.kind === 'people');
  return people?.kind === 'people' ? people.votes : null;
}

/** Who answers, and how many answers each question takes. */
interface Answering {
  votes: number;
  annotator: string;
}

/** The questions that wait for an answer of somebody. The next ones are this annotator's for some seconds: others get others. */
export function takeQuestions(
  log: QuestionLog,
  { votes, annotator }: Answering,
  { leases, now }: { leases: Leases; now: number },
): OpenQuestions {
  const questions = log.read();
  const leaseOf = ({ id }: { id: string }): string => `${log.folder} ${id}`;
  const isFree = (each: Question): boolean =>
    !isRanked(each) ||
    (questions.answersTo.get(each.id)?.length ?? 0) + leases.others(leaseOf(each), annotator, now) < votes;
  const found = questionsFor(questions, { votes, annotator }, isFree);
  leases.give(found.next.map(leaseOf), annotator, now);
  return found;
}

/** The questions that are open to somebody, and what this one has done. */
export function questionsFor(
  questions: Questions,
  { votes, annotator }: Answering,
  isFree: (question: Question) => boolean = () => true,
): OpenQuestions {
  const { asked, settled, answers } = questions;
  const open = openTo(questions, { votes, annotator }).filter(isFree);
  const last = answers.findLast((each) => each.annotator === annotator && !settled.has(each.question));
  const undoable = last === undefined ? undefined : asked.get(last.question);
  return {
    next: open.slice(0, NEXT).map((each) => shown(each, annotator)),
    open: open.length,
    answered: answers.filter((each) => each.annotator === annotator).length,
    undoable: undoable === undefined ? null : shown(undoable, annotator),
    tags: TAGS,
  };
}

/** Questions with too few answers; of an annotator those that it has not answered itself. */
function openTo(
  { asked, settled, answersTo }: Questions,
  { votes, annotator }: { votes: number; annotator: string | null },
): Question[] {
  const saidBy = (id: string): boolean => answersTo.get(id)?.some((each) => each.annotator === annotator) === true;
  return [...asked.values()].filter((question) => {
    const { id, again } = question;
    if (settled.has(id) || saidBy(id)) return false;
    if (isRanked(question)) return (answersTo.get(id)?.length ?? 0) < votes;
    // Everybody is asked the gold ones; the run waits for nobody to repeat an answer.
    return annotator !== null && (again === null || saidBy(again));
  });
}

/** Keeps an answer. Throws RankerError PEOPLE_QUESTION_UNKNOWN or PEOPLE_QUESTION_SETTLED. */
export async function giveAnswer(
  log: QuestionLog,
  { question, choice, strength = 'some', tags = [], isFlagged = false, edit = null, seconds, key }: GivenAnswer,
  { annotator, timeMs }: { annotator: string; timeMs: number },
): Promise<void> {
  const who = { question, annotator, key, timeMs };
  if (choice === 'undo') return say(log, { kind: 'undo', ...who });
  const left = leftOf(question, annotator);
  const said = { choice: choiceOf(choice, left), strength, tags, isFlagged, edit, left, seconds };
  await say(log, { kind: 'answer', ...who, ...said });
}

function shown({ id, prompt, turns, texts: [first, second], reason }: Question, annotator: string): ShownQuestion {
  const [left, right] = leftOf(id, annotator) === 'first' ? [first, second] : [second, first];
  return { id, prompt, turns, left, right, reason };
}

/** Which text stands left: a coin, thrown once for each annotator and question. */
function leftOf(id: string, annotator: string): 'first' | 'second' {
  return Number.parseInt(sha256(`side of ${id} for ${annotator}`).slice(0, 2), 16) % 2 === 0 ? 'first' : 'second';
}

function choiceOf(choice: Exclude<GivenAnswer['choice'], 'undo'>, left: 'first' | 'second'): Choice {
  switch (choice) {
    case 'left':
      return left;
    case 'right':
      return left === 'first' ? 'second' : 'first';
    case 'tie':
    case 'both-bad':
    case 'skip':
      return choice;
  }
}
