/**
 * @file Single-answer grading of MT-Bench: each turn of each question is one rating, with the reference where there is one. The second
 * turn is judged with the whole conversation before it. Prompts are FastChat's, word for word.
 */
import { fileURLToPath } from 'node:url';
import type { RankItem } from '../../rank/ranker.ts';
import type { MtBenchQuestion } from './questions.ts';

/** A question with a model's answers; an answer of null was not given, and `problem` says why. */
export interface AnsweredQuestion {
  question: MtBenchQuestion;
  answers: [string | null, string | null];
  problem: string | null;
}

/** FastChat's names of its four prompts. */
export const MT_BENCH_PROMPTS = [
  'single-v1',
  'single-math-v1',
  'single-v1-multi-turn',
  'single-math-v1-multi-turn',
] as const;
export type MtBenchPrompt = (typeof MT_BENCH_PROMPTS)[number];

/** One rating to ask for. */
export interface Grading {
  question: MtBenchQuestion;
  turn: 1 | 2;
  prompt: MtBenchPrompt;
  /** The judge's item: what stands before the answer, and the answer. */
  item: RankItem;
}

/** The prompt's file, for a judge that rates. */
export function mtBenchPromptPath(name: MtBenchPrompt): string {
  return fileURLToPath(new URL(`prompts/${name}.yaml`, import.meta.url));
}

/** The ratings to ask for about answered questions; a turn without an answer has none. */
export function gradingsOf(answered: readonly AnsweredQuestion[]): Grading[] {
  return answered.flatMap(({ question, answers: [first, second] }) => [
    ...(first === null ? [] : [firstTurn(question, first)]),
    ...(first === null || second === null ? [] : [secondTurn(question, first, second)]),
  ]);
}

function firstTurn(question: MtBenchQuestion, answer: string): Grading {
  const { id, turns, reference } = question;
  const text =
    reference === null
      ? turns[0]
      : `${turns[0]}\n\n[The Start of Reference Answer]\n${reference[0]}\n[The End of Reference Answer]`;
  return {
    question,
    turn: 1,
    prompt: reference === null ? 'single-v1' : 'single-math-v1',
    item: itemOf(`${id} 1`, text, answer),
  };
}

function secondTurn(question: MtBenchQuestion, first: string, second: string): Grading {
  const { id, turns, reference } = question;
  const conversation = `### User:\n${turns[0]}\n\n### Assistant A:\n${first}\n\n### User:\n${turns[1]}`;
  if (reference === null) {
    return { question, turn: 2, prompt: 'single-v1-multi-turn', item: itemOf(`${id} 2`, conversation, second) };
  }
  const [one, two] = reference;
  const references = `### User:\n${turns[0]}\n\n### Reference answer:\n${one}\n\n### User:\n${turns[1]}\n\n### Reference answer:\n${two}`;
  const text = `<|The Start of Reference Answer|>\n\n${references}\n\n<|The End of Reference Answer|>\n\n\n<|The Start of Assistant A's Conversation with User|>\n\n${conversation}`;
  return { question, turn: 2, prompt: 'single-math-v1-multi-turn', item: itemOf(`${id} 2`, text, second) };
}

function itemOf(promptId: string, text: string, answer: string): RankItem {
  return {
    promptId,
    prompt: { kind: 'text', text },
    candidates: [{ kind: 'response', sampleIndex: 0, text: answer }],
  };
}
