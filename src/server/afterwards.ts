/** @file What people's labels moved, as a page shows it: what `selm afterwards` measured, beside who answered. */
import { selmCommand, shorterPath } from '../files/command-line.ts';
import { readAfterwards } from '../store/afterwards.ts';
import type { AfterwardsPage } from './api.ts';
import type { OpenedRun } from './open-runs.ts';

/** Prompts on a page. */
const MOST = 200;

/** The page; of one annotator the prompts that this one answered about. */
export function afterwardsOf({ listed: { path }, questions, launcher }: OpenedRun, annotator: string): AfterwardsPage {
  const { asked, answers } = questions.read();
  const byPrompt = new Map<string, Set<string>>();
  for (const { question, annotator: who } of answers) {
    const promptId = asked.get(question)?.promptId;
    if (promptId !== undefined) byPrompt.set(promptId, (byPrompt.get(promptId) ?? new Set<string>()).add(who));
  }
  const isWanted = (promptId: string): boolean => annotator === '' || byPrompt.get(promptId)?.has(annotator) === true;
  const measured = readAfterwards(path).map(({ iteration, prompts }) => ({
    iteration,
    prompts: prompts.filter(({ promptId }) => isWanted(promptId)),
  }));
  return {
    iterations: measured.map(({ iteration, prompts }) => ({
      iteration,
      prompts: prompts.length,
      rose: prompts.filter(({ marginBefore, marginAfter }) => marginAfter > marginBefore).length,
      meanBefore: mean(prompts.map(({ marginBefore }) => marginBefore)),
      meanAfter: mean(prompts.map(({ marginAfter }) => marginAfter)),
    })),
    annotators: [...new Set(answers.map(({ annotator: who }) => who))].sort(),
    prompts: measured
      .flatMap(({ iteration, prompts }) =>
        prompts.map((each) => ({ iteration, ...each, annotators: [...(byPrompt.get(each.promptId) ?? [])].sort() })),
      )
      .slice(0, MOST),
    command: selmCommand(['afterwards', shorterPath(path)], { launcher }),
  };
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
