/** @file What a run asks people, as a page shows it, and what they say back. Nothing is acknowledged before it is on the disk. */
import { z } from 'zod';
import { sha256 } from '../files/hash.ts';
import { type Choice, peopleFolder, type Question, readQuestions, say } from '../rank/people/questions.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { GivenAnswer, OpenQuestions, ShownQuestion } from './api.ts';

/** Questions that a page is given at once: the next is there while the last is on its way. */
const NEXT = 5;

/** Parser of an answer. */
export const givenAnswer = z.strictObject({
  question: z.string().max(100),
  choice: z.enum(['left', 'right', 'tie', 'both-bad', 'skip', 'undo']),
  seconds: z.number().min(0).max(1e6),
  key: z.string().min(8).max(100),
}) satisfies z.ZodType<GivenAnswer>;

/** Whether a run asks people. */
export function asksPeople({ ranker, secondOpinion }: Pick<Recipe, 'ranker' | 'secondOpinion'>): boolean {
  return ranker.kind === 'people' || secondOpinion?.ranker.kind === 'people';
}

/** How many questions of a run have no answer. */
export function questionsLeft(runPath: string, recipe: Pick<Recipe, 'ranker' | 'secondOpinion'>): number {
  return asksPeople(recipe) ? openQuestions(runPath).open : 0;
}

/** The questions of a run that wait for an answer. */
export function openQuestions(runPath: string): OpenQuestions {
  const { asked, settled, answers } = readQuestions(peopleFolder(runPath));
  const open = [...asked.values()].filter(({ id }) => !settled.has(id) && !answers.has(id));
  const last = [...answers.keys()].findLast((id) => !settled.has(id));
  const undoable = last === undefined ? undefined : asked.get(last);
  return {
    next: open.slice(0, NEXT).map(shown),
    open: open.length,
    answered: answers.size,
    undoable: undoable === undefined ? null : shown(undoable),
  };
}

/** Keeps an answer. Throws RankerError PEOPLE_QUESTION_UNKNOWN or PEOPLE_QUESTION_SETTLED. */
export async function giveAnswer(
  runPath: string,
  { question, choice, seconds, key }: GivenAnswer,
  timeMs: number,
): Promise<void> {
  const folder = peopleFolder(runPath);
  if (choice === 'undo') return say(folder, { kind: 'undo', question, key, timeMs });
  const left = leftOf(question);
  await say(folder, { kind: 'answer', question, choice: choiceOf(choice, left), left, seconds, key, timeMs });
}

function shown({ id, prompt, texts: [first, second] }: Question): ShownQuestion {
  return leftOf(id) === 'first'
    ? { id, prompt, left: first, right: second }
    : { id, prompt, left: second, right: first };
}

/** Which text stands left: a coin, thrown once for each question. */
function leftOf(id: string): 'first' | 'second' {
  return Number.parseInt(sha256(`side of ${id}`).slice(0, 2), 16) % 2 === 0 ? 'first' : 'second';
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
