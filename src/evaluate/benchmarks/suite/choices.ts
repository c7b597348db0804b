/** @file Multiple choice as lm-evaluation-harness scores it, and the forms in which data sets keep it. Pure. */
import { codePoints } from '../../code-points.ts';
import type { Question, Scores } from '../benchmark.ts';

/** Choices, and the place of the right one. */
export interface Choices {
  choices: string[];
  gold: number;
}

/** A question with one right answer: `acc` takes the likeliest choice, `acc_norm` the likeliest by character. */
export function oneRightChoice({ choices, gold }: Choices): Question {
  const lengths = choices.map(codePoints);
  return {
    kind: 'choices',
    choices,
    score: (logLikelihoods): Scores => ({
      acc: likeliest(logLikelihoods) === gold ? 1 : 0,
      acc_norm: likeliest(logLikelihoods.map((value, place) => value / (lengths[place] ?? 1))) === gold ? 1 : 0,
    }),
  };
}

/** Place of the largest value; of equal ones the first. */
export function likeliest(values: readonly number[]): number {
  return values.reduce((best, value, place) => (value > (values[best] ?? Number.NEGATIVE_INFINITY) ? place : best), 0);
}

/**
 * The choices of a row, in either form: `choices: {text, label}` with `answerKey` (ARC, OpenBookQA on the Hub), or a list `choices`
 * with the right one's place in `gold`, `label` or `answer`.
 */
export function readChoices(row: Readonly<Record<string, unknown>>): Choices | { problem: string } {
  const { choices } = row;
  if (isTexts(choices)) return withGold(choices, placeOf(row.gold ?? row.label ?? row.answer));
  if (typeof choices !== 'object' || choices === null) return { problem: 'it has no choices' };
  const { text, label } = choices as { text?: unknown; label?: unknown };
  if (!isTexts(text) || !isTexts(label)) return { problem: 'its choices have no text and label' };
  const key = typeof row.answerKey === 'string' ? row.answerKey.trimStart() : '';
  return withGold(text, label.indexOf(key));
}

/** Choices whose right one is in place `gold`; null or a place that is none is a problem. */
export function withGold(choices: readonly string[], gold: number | null): Choices | { problem: string } {
  if (choices.length === 0) return { problem: 'it has no choices' };
  if (gold !== null && gold >= 0 && gold < choices.length) return { choices: [...choices], gold };
  return { problem: 'it does not say which choice is right' };
}

/** A whole number, also written as a text; null for anything else. */
export function placeOf(value: unknown): number | null {
  const number =
    typeof value === 'bigint' || (typeof value === 'string' && value.trim() !== '') ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : null;
}

/** Whether a value is a list of texts. */
export function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}
