/**
 * @file Questions that ask about the annotators and not about the policy: gold ones, whose answer is known, and ones that come a second
 * time. They stand between the others and look like them; no ranking is made of them, and no run waits for them. Pure.
 */
import { sha256 } from '../../files/hash.ts';
import type { ShownTurn } from '../../text/shown.ts';
import { type Question, questionOf } from './questions.ts';

/** A prompt with a better and a worse text, as everybody sees it. */
export interface Gold {
  promptId: string;
  prompt: string;
  turns?: readonly ShownTurn[];
  chosen: string;
  rejected: string;
}

/** Other questions between one and its repetition: enough that the first answer is not simply remembered. */
const BETWEEN = 5;

/**
 * The questions of a round with the checks between them. Which question is asked again, and where a gold one stands, depends on the
 * questions alone: a run that is started again asks the same.
 *
 * @param known ids of what was asked before: no gold question comes twice
 */
export function withChecks(
  questions: readonly Question[],
  {
    gold,
    goldShare,
    repeatShare,
    known,
  }: { gold: readonly Gold[]; goldShare: number; repeatShare: number; known: ReadonlySet<string> },
): Question[] {
  const asked: Question[] = [];
  const waiting = new Map<number, Question[]>();
  const unasked = gold.map((each) => goldQuestion(each)).filter(({ id }) => !known.has(id));
  for (const [index, question] of questions.entries()) {
    asked.push(question, ...(waiting.get(index) ?? []));
    const next = unasked[0];
    if (next !== undefined && chance(question.id, 'gold') < goldShare) {
      // With a reason like those around it: nothing tells it from them.
      asked.push({ ...next, reason: question.reason });
      unasked.shift();
    }
    // Near the end nothing would stand between.
    if (index + BETWEEN >= questions.length || chance(question.id, 'again') >= repeatShare) continue;
    waiting.set(index + BETWEEN, [...(waiting.get(index + BETWEEN) ?? []), againOf(question)]);
  }
  return asked;
}

/** A gold question; its id comes from its texts, as any other's. */
function goldQuestion({ chosen, rejected, ...prompt }: Gold): Question {
  const question = questionOf(prompt, [chosen, rejected]);
  return { ...question, gold: question.texts[0] === chosen ? 'first' : 'second' };
}

/** The same question under another id: who answers it again sees the sides by another coin. */
function againOf(question: Question): Question {
  return { ...question, id: sha256(`again ${question.id}`).slice(0, 32), again: question.id };
}

/** Uniform in [0, 1). */
function chance(id: string, what: string): number {
  return Number.parseInt(sha256(`${what} ${id}`).slice(0, 8), 16) / 2 ** 32;
}
