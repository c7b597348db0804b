/**
 * @file The measurements of a run as a report takes them: on the same prompts for every policy. If a ranker gave no
 * verdict on one policy's answer to a prompt (a judge that abstained), that prompt is left out for all of them.
 */

import { z } from 'zod';
import { type Diversity, diversityOf } from '../evaluate/diversity.ts';
import type { Interval } from '../evaluate/statistics.ts';

/** What is kept of a measurement: the numbers, and the answers to show. */
export interface Evaluation {
  name: string;
  /** What the rewards are, for the report. */
  rewardName: string;
  data: EvaluationData;
  answers: { promptId: string; prompt: string; text: string }[];
}

/** One policy on the evaluation prompts. The arrays run in parallel: one entry a sample, in any order. */
export interface EvaluationData {
  promptIds: string[];
  /** Scores of the ranker, higher is better. */
  rewards: number[];
  /** Tokens of each response. */
  lengths: number[];
  /** Soundness of each text from 0 (broken) to 1, where the ranker's module exports `guard`. */
  textHealth: number[] | null;
  /** Share of responses that ended by themselves (not by the token limit), in [0, 1]. */
  finishedShare: number | null;
  /** How different its responses are from each other; null where their texts were not kept. */
  diversity: Diversity | null;
  /** KL(this policy || base) in nats a response; null for the base itself. */
  klToBase: Interval | null;
  /** KL(this policy || the policy of the iteration before). */
  klToPrevious: Interval | null;
  /**
   * Where the ranker gives no scores that hold across prompts: its margin of each answer over the answer of the policy before, NaN
   * where it gave none. Null where the rewards say it.
   */
  marginsOverPrevious: number[] | null;
  /** Of one greedy answer a prompt; null where none was asked for, or the answers themselves are greedy. */
  greedy: { promptIds: string[]; rewards: number[] } | null;
}

/** JSON has no not-a-number; it is written as null. */
const number = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const interval = z.object({ value: number, low: number, high: number, count: z.number() });

/** Parser of a kept measurement. */
export const evaluationSchema = z.object({
  name: z.string(),
  rewardName: z.string(),
  data: z.object({
    promptIds: z.array(z.string()),
    rewards: z.array(number),
    lengths: z.array(z.number()),
    textHealth: z.array(number).nullable(),
    finishedShare: z.number().nullable(),
    diversity: z.object({ distinct: z.tuple([number, number, number]), selfBleu: z.number().nullable() }).nullable(),
    klToBase: interval.nullable(),
    klToPrevious: interval.nullable(),
    marginsOverPrevious: z.array(number).nullable().default(null),
    greedy: z
      .object({ promptIds: z.array(z.string()), rewards: z.array(number) })
      .nullable()
      .default(null),
  }),
  answers: z.array(z.object({ promptId: z.string(), prompt: z.string(), text: z.string() })),
}) satisfies z.ZodType<Evaluation>;

/** The same measurements on the prompts that all of them have, and how many prompts that leaves out. */
export function onCommonPrompts(runs: readonly ReadonlyMap<number, Evaluation>[]): {
  runs: Map<number, Evaluation>[];
  leftOut: number;
} {
  const sets = runs.flatMap((run) => [...run.values()].map(({ data }) => new Set(data.promptIds)));
  const all = new Set(sets.flatMap((set) => [...set]));
  const common = new Set([...all].filter((promptId) => sets.every((set) => set.has(promptId))));
  return {
    runs: runs.map((run) => new Map([...run].map(([iteration, each]) => [iteration, restrict(each, common)]))),
    leftOut: all.size - common.size,
  };
}

function restrictGreedy(
  { promptIds, rewards }: NonNullable<EvaluationData['greedy']>,
  kept: ReadonlySet<string>,
): NonNullable<EvaluationData['greedy']> {
  const places = promptIds.flatMap((promptId, place) => (kept.has(promptId) ? [place] : []));
  return {
    promptIds: places.map((place) => promptIds[place] ?? ''),
    rewards: places.map((place) => rewards[place] ?? Number.NaN),
  };
}

function restrict(evaluation: Evaluation, promptIds: ReadonlySet<string>): Evaluation {
  const { data, answers } = evaluation;
  const all = [...data.promptIds, ...(data.greedy?.promptIds ?? [])];
  // The usual case: its numbers are there, and diversity, which old records lack, takes longer than all others.
  if (data.diversity !== null && all.every((promptId) => promptIds.has(promptId))) return evaluation;
  const kept = data.promptIds.map((promptId) => promptIds.has(promptId));
  const only = <Value>(values: readonly Value[]): Value[] => values.filter((_, index) => kept[index]);
  return {
    ...evaluation,
    answers: only(answers),
    data: {
      ...data,
      promptIds: only(data.promptIds),
      rewards: only(data.rewards),
      lengths: only(data.lengths),
      textHealth: data.textHealth === null ? null : only(data.textHealth),
      marginsOverPrevious: data.marginsOverPrevious === null ? null : only(data.marginsOverPrevious),
      greedy: data.greedy === null ? null : restrictGreedy(data.greedy, promptIds),
      diversity: diversityOf(only(answers).map(({ text }) => text)),
    },
  };
}
