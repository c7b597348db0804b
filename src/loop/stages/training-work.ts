/**
 * @file A rank's part of a training that rank 0 leads: the same policy and checkpoint, the same steps. It keeps nothing; what
 * comes out is rank 0's to save.
 */
import { RunError } from '../../errors.ts';
import { withModel } from '../../model/load.ts';
import type { SharedWork } from '../../ranks/team.ts';
import type { TokenTree } from '../../score/trees.ts';
import { restoreCheckpoint } from '../../train/checkpoint.ts';
import { openOptimiser } from '../../train/optimiser.ts';
import { type Lesson, learn } from './lesson.ts';
import { optimisationOf, policyFiles, type TrainingRecipe } from './training-settings.ts';

/** A training from a step on. */
export interface TrainingSetting {
  recipe: TrainingRecipe;
  startDirectory: string;
  lesson: Lesson;
  steps: readonly (readonly TokenTree[])[];
  /** Steps that are done: in the newest checkpoint. */
  firstStep: number;
  checkpoints: { folder: string; plan: string } | null;
  /** Of each step. */
  learningRates: readonly number[];
}

/** The work of the ranks other than 0, which makes the same steps itself and keeps their results. */
export const trainingWork: SharedWork<TrainingSetting, never, never> = {
  name: 'train',
  async *run({ recipe, startDirectory, lesson, steps, firstStep, checkpoints, learningRates }, _, { group, signal }) {
    using policy = withModel(startDirectory, (model) => policyFiles(recipe).open(model), { device: recipe.device });
    using optimiser = openOptimiser(policy);
    if (firstStep > 0 && checkpoints !== null) {
      const { folder, plan } = checkpoints;
      const { step } = await restoreCheckpoint(folder, { policy, optimiser, plan });
      if (step !== firstStep) {
        throw new RunError(
          'RANKS_CHECKPOINT',
          `Cannot go on from step ${firstStep}: rank ${group.rank} finds step ${step} in ${folder}: let all ranks see the same folder`,
        );
      }
    }
    const optimisation = optimisationOf(recipe, {
      policy,
      learningRateAt: (step) => learningRates[step] ?? Number.NaN,
    });
    const input = { policy, optimiser, steps, firstStep, checkpoints: null, group, signal };
    for await (const _step of learn(lesson, input, optimisation));
    yield* [];
  },
};
