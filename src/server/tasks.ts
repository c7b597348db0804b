/** @file The runs that ask people, with what is left in each for an annotator. */
import type { Task } from './api.ts';
import type { OpenRuns } from './open-runs.ts';
import { questionsFor, votesOf } from './people.ts';

/** Those that can be read. */
export function tasksOf(runs: OpenRuns, annotator: string): Task[] {
  return runs.summaries().flatMap(({ id, asksPeople }) => {
    if (!asksPeople) return [];
    const { questions, config } = runs.open(id);
    const votes = 'ranker' in config.recipe ? votesOf(config.recipe) : null;
    if (votes === null) return [];
    const { open, answered } = questionsFor(questions.read(), { votes, annotator });
    return [{ id, open, answered }];
  });
}
