/** @file What a training learns from, as plain data: every rank that has it makes the same steps. */
import type { LabelLoss } from '../../objective/labels.ts';
import type { ObjectiveOptions } from '../../objective/objective.ts';
import type { PairTree, TokenTree, TreeLogProbs } from '../../score/trees.ts';
import { type LabelledTree, trainLabels } from '../../train/labels.ts';
import { type RewardObjective, type RewardTree, trainRewardModel } from '../../train/reward-step.ts';
import type { Optimisation, StepsInput, TakenStep } from '../../train/run-steps.ts';
import { trainSupervised } from '../../train/supervised.ts';
import { trainPolicy } from '../../train/train.ts';

/** Preferences or labels, with what the reference says of every response; or conversations or comparisons, which say all themselves. */
export type Lesson =
  | {
      kind: 'preferences';
      reference: ReadonlyMap<string, TreeLogProbs>;
      startsAtReference: boolean;
      objective: ObjectiveOptions;
    }
  | {
      kind: 'labels';
      reference: ReadonlyMap<string, TreeLogProbs>;
      startsAtReference: boolean;
      objective: LabelLoss;
    }
  | { kind: 'conversations' }
  | { kind: 'rewards'; objective: RewardObjective };

/** Makes the steps of a lesson. */
export function learn(lesson: Lesson, input: StepsInput<TokenTree>, settings: Optimisation): AsyncGenerator<TakenStep> {
  switch (lesson.kind) {
    case 'preferences': {
      const { objective, reference, startsAtReference } = lesson;
      // Trees of preferences are pairs.
      const pairs = input as StepsInput<PairTree>;
      return trainPolicy({ ...pairs, reference, startsAtReference }, { ...settings, objective });
    }
    case 'labels': {
      const { objective, reference, startsAtReference } = lesson;
      // Trees of labels are responses with their labels.
      const responses = input as StepsInput<LabelledTree>;
      return trainLabels({ ...responses, reference, startsAtReference }, { ...settings, objective });
    }
    case 'conversations':
      return trainSupervised(input, settings);
    case 'rewards':
      // Trees of rewards are prompts with their responses.
      return trainRewardModel(input as StepsInput<RewardTree>, { ...settings, objective: lesson.objective });
  }
}
