/** @file The questions of MT-Bench, and the temperature for each category. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** A question of two turns. */
export interface MtBenchQuestion {
  id: number;
  category: string;
  turns: [string, string];
  /** GPT-4's answers, where the judge is shown some; else null. */
  reference: [string, string] | null;
}

const line = z
  .object({
    question_id: z.int(),
    category: z.string(),
    turns: z.tuple([z.string(), z.string()]),
    reference: z.tuple([z.string(), z.string()]).optional(),
  })
  .transform(
    ({ question_id, category, turns, reference }): MtBenchQuestion => ({
      id: question_id,
      category,
      turns,
      reference: reference ?? null,
    }),
  );

/** All 80, in order; they come with the package. */
export function mtBenchQuestions(): MtBenchQuestion[] {
  const text = readFileSync(new URL('../../../assets/mt_bench/questions.jsonl', import.meta.url), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((each) => line.parse(JSON.parse(each)));
}

/** FastChat's temperatures by category; 0 is greedy. */
const TEMPERATURES: Readonly<Record<string, number>> = {
  writing: 0.7,
  roleplay: 0.7,
  stem: 0.1,
  humanities: 0.1,
  extraction: 0,
  math: 0,
  coding: 0,
  reasoning: 0,
};

/** The temperature that a category is answered at; 0.7 for one that FastChat does not name. */
export function temperatureOf(category: string): number {
  return TEMPERATURES[category] ?? 0.7;
}
