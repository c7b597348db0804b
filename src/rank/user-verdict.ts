/**
 * @file What a user's own code (a module, a program) is asked about an item, and how its answer becomes a ranking. The answer
 * is checked before anything uses it. Each distinct text is asked about once: equal texts rank equal.
 */
import { RankerError, shownValue } from '../errors.ts';
import type { Message, Prompt } from '../text/rendering.ts';
import { type Candidate, type RankItem, type Ranking, rankingFromScores } from './ranker.ts';

/** An item as user code sees it. */
export interface UserQuestion {
  promptId: string;
  /** The text, or the last user message of a chat. */
  prompt: string;
  /** The whole conversation of a chat prompt; null for a plain text. */
  messages: Message[] | null;
  /** The distinct texts. */
  responses: string[];
  /** Who wrote each response first, in the order of `responses`. */
  candidates: Pick<Candidate, 'kind' | 'sampleIndex'>[];
}

/** What is asked about an item. */
export function questionOf({ promptId, prompt, candidates }: RankItem): UserQuestion {
  const responses = [...new Set(candidates.map(({ text }) => text))];
  const firsts = responses.flatMap((text) => candidates.find((candidate) => candidate.text === text) ?? []);
  return {
    promptId,
    prompt: promptText(prompt),
    messages: prompt.kind === 'chat' ? prompt.messages : null,
    responses,
    candidates: firsts.map(({ kind, sampleIndex }) => ({ kind, sampleIndex })),
  };
}

/** The text that user code is given for a prompt: the text itself, or the last user message of a chat. */
function promptText(prompt: Prompt): string {
  switch (prompt.kind) {
    case 'text':
      return prompt.text;
    case 'chat':
      return (prompt.messages.findLast((message) => message.role === 'user') ?? prompt.messages.at(-1))?.content ?? '';
  }
}

/**
 * The ranking of an item by an answer about its distinct texts.
 *
 * @param answer one finite score a distinct text, or (`gives: 'order'`) their indices, best first
 * @param who gave it, at the beginning of a sentence: `reward()`
 * @throws RankerError RANKER_RESULT
 */
export function rankingOfAnswer(
  { promptId, candidates }: RankItem,
  answer: unknown,
  { gives, who }: { gives: 'scores' | 'order'; who: string },
): Ranking {
  const distinct = [...new Set(candidates.map(({ text }) => text))];
  const indexOf = new Map(distinct.map((text, index) => [text, index]));
  switch (gives) {
    case 'scores': {
      const values = checkScores(answer, distinct.length, who);
      const scores = candidates.map(({ text }) => values[indexOf.get(text) ?? 0] ?? Number.NaN);
      return rankingFromScores(promptId, scores);
    }
    case 'order': {
      const order = checkOrder(answer, distinct.length, who);
      // An order becomes places, so that candidates of equal text share one and tie.
      const places = candidates.map(({ text }) => -order.indexOf(indexOf.get(text) ?? 0));
      return { ...rankingFromScores(promptId, places), scores: null };
    }
  }
}

/** An item as a person finds it again: the beginning of its prompt, and where it lies in the data. */
export function describeItem(item: RankItem): string {
  const text = promptText(item.prompt).replaceAll(/\s+/g, ' ').trim();
  const beginning = text.length > 80 ? `${text.slice(0, 80)}...` : text;
  const { source } = item;
  const place = source === undefined ? `prompt id ${item.promptId}` : `${source.file}:${source.line}`;
  return `prompt ${JSON.stringify(beginning)} (${place})`;
}

/** The error of user code that broke its contract. */
export function resultError(message: string): RankerError {
  return new RankerError('RANKER_RESULT', message);
}

function checkScores(answer: unknown, count: number, who: string): number[] {
  const numbers = checkArray(answer, { count, who, content: 'finite scores' });
  const wrong = numbers.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) {
    throw resultError(`${who} returned ${showAnswer(numbers[wrong])} for response ${wrong}: scores are finite numbers`);
  }
  return numbers as number[]; // each is finite, so each is a number
}

function checkOrder(answer: unknown, count: number, who: string): number[] {
  const indices = checkArray(answer, { count, who, content: 'indices, best first' });
  const sorted = [...new Set(indices)].filter(
    (value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) < count,
  );
  if (sorted.length !== count) {
    throw resultError(
      `${who} returned ${showAnswer(indices)}: an order names each index from 0 to ${count - 1} once, best first`,
    );
  }
  return indices as number[]; // a permutation of the indices
}

function checkArray(
  answer: unknown,
  { count, who, content }: { count: number; who: string; content: string },
): unknown[] {
  if (!Array.isArray(answer))
    throw resultError(`${who} returned ${showAnswer(answer)}: it returns an array of ${count} ${content}`);
  if (answer.length !== count) {
    throw resultError(
      `${who} returned ${answer.length} values for ${count} distinct responses: it returns ${count} ${content}`,
    );
  }
  return Array.from(answer);
}

/** What user code returned, as it may stand in a message: NaN and infinities too. */
export function showAnswer(value: unknown): string {
  return typeof value === 'number' ? String(value) : shownValue(value, 80);
}
