/**
 * @file The measurements of a run as a report takes them: on the same prompts for every policy. A ranker that gave no
 * verdict on one policy's answer to a prompt (a judge that abstained) takes that prompt from all of them.
 */
import { diversityOf } from '../evaluate/diversity.ts';
import type { Ledger } from './ledger.ts';
import { EVALUATION, type Evaluation } from './stages/evaluate.ts';

/** Measurements of a ledger by iteration; 0 is the base. */
export function evaluationsOf(ledger: Ledger): Map<number, Evaluation> {
  const found = ledger.audits().filter(({ kind }) => kind === EVALUATION);
  return new Map(found.map(({ iteration, audit }) => [iteration, audit as Evaluation])); // written by the stage
}

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

function restrict(evaluation: Evaluation, promptIds: ReadonlySet<string>): Evaluation {
  const { data, answers } = evaluation;
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
      diversity: diversityOf(only(answers).map(({ text }) => text)),
    },
  };
}
