/** @file What a training learns from, as plain data: every rank that has it makes the same steps. */
import type { ObjectiveOptions } from '../../objective/objective.ts';
import type { PairTree, TokenTree, TreeLogProbs } from '../../score/trees.ts';
import type { Optimisation, StepsInput, TakenStep } from '../../train/run-steps.ts';
import { trainSupervised } from '../../train/supervised.ts';
import { trainPolicy } from '../../train/train.ts';

/** Preferences, with what the reference says of every pair; or conversations, which say all themselves. */
export type Lesson =
  | {
      kind: 'preferences';
      reference: ReadonlyMap<string, TreeLogProbs>;
      startsAtReference: boolean;
      objective: ObjectiveOptions;
    }
  | { kind: 'conversations' };

/** Makes the steps of a lesson. */
export function learn(lesson: Lesson, input: StepsInput<TokenTree>, settings: Optimisation): AsyncGenerator<TakenStep> {
  switch (lesson.kind) {
    case 'preferences': {
      const { objective, reference, startsAtReference } = lesson;
      // Trees of preferences are pairs.
      const pairs = input as StepsInput<PairTree>;
      return trainPolicy({ ...pairs, reference, startsAtReference }, { ...settings, objective });
    }
    case 'conversations':
      return trainSupervised(input, settings);
  }
}
