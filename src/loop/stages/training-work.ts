/**
 * @file A rank's part of a training that rank 0 leads: the same policy and checkpoint, the same steps. Of a policy that
 * ranks share it keeps the part that no other rank has. Rank 0 saves the finished model.
 */
import { InterruptedError, RunError } from '../../errors.ts';
import { withModel } from '../../model/load.ts';
import { longAfter } from '../../model/rope.ts';
import type { SharedWork } from '../../ranks/team.ts';
import { microBatches, type PackedTrees } from '../../score/packing.ts';
import type { Policy } from '../../score/policy.ts';
import type { TokenTree } from '../../score/trees.ts';
import type { Group } from '../../torch/group.ts';
import { restoreCheckpoint } from '../../train/checkpoint.ts';
import { checkTrained } from '../../train/divergence.ts';
import { openOptimiser, type RoundingSource } from '../../train/optimiser.ts';
import { untilStopped } from '../../train/pausing.ts';
import type { Optimisation } from '../../train/run-steps.ts';
import { type SharedStep, sharedStep, shareOf } from '../../train/share.ts';
import { type Lesson, learn } from './lesson.ts';
import { openTrained, optimisationOf, sharingOf, type TrainingRecipe } from './training-settings.ts';
import { readVerified } from './verifying.ts';

/** A training from a step on. */
export interface TrainingSetting {
  recipe: TrainingRecipe;
  startDirectory: string;
  lesson: Lesson;
  steps: readonly (readonly TokenTree[])[];
  /** Steps that are done: in the newest checkpoint. */
  firstStep: number;
  checkpoints: { folder: string; plan: string } | null;
  rounding: RoundingSource;
  /** Of each step. */
  learningRates: readonly number[];
}

/** The work of the ranks other than 0, which make the same steps. */
export const trainingWork: SharedWork<TrainingSetting, never, never> = {
  name: 'train',
  async *run(setting, _, { group, signal }) {
    const { recipe, startDirectory, lesson, steps, firstStep, checkpoints, learningRates } = setting;
    const sharing = sharingOf(recipe, group);
    using policy = withModel(startDirectory, (model) => openTrained(model, { recipe, lesson, sharing }), {
      device: recipe.device,
    });
    using optimiser = openOptimiser(policy, setting.rounding);
    if (firstStep > 0 && checkpoints !== null) {
      const { folder, plan } = checkpoints;
      const { step } = await restoreCheckpoint(folder, { policy, optimiser, plan }, readVerified);
      if (step !== firstStep) {
        throw new RunError(
          'RANKS_CHECKPOINT',
          `Cannot go on from step ${firstStep}: rank ${group.rank} finds step ${step} in ${folder}: let all ranks see the same folder`,
        );
      }
    }
    const learningRateAt = (step: number): number => learningRates[step] ?? Number.NaN;
    const optimisation = optimisationOf(recipe, { policy, learningRateAt });
    // What this rank alone has of the policy, it saves alone.
    const kept = sharing === null ? null : checkpoints;
    const input = { policy, optimiser, steps, firstStep, checkpoints: kept, group, signal };
    let loss = Number.NaN;
    try {
      for await (const { metrics } of learn(lesson, input, optimisation)) loss = metrics.loss ?? Number.NaN;
    } catch (error) {
      if (error instanceof InterruptedError) return; // rank 0 was asked to stop, and says so
      throw error;
    }
    if (sharing === null) return;
    const made = steps.length;
    const progress = { made, of: made, loss, learningRate: learningRateAt(made - 1), setting: 'training.learningRate' };
    await untilStopped(checkTrained(policy, lastPasses(steps, { policy, group, optimisation }), progress), undefined);
  },
};

/** The last step's passes: of this rank's share where ranks share the policy, else of all. */
export function lastPasses(
  steps: readonly (readonly TokenTree[])[],
  { policy, group, optimisation }: { policy: Policy; group: Group; optimisation: Optimisation },
): { batches: PackedTrees<TokenTree>[]; shared?: SharedStep } {
  const trees = steps.at(-1) ?? [];
  const long = longAfter(policy.config);
  const { microBatchTokens } = optimisation;
  if (policy.shards === null) return { batches: microBatches(trees, microBatchTokens, long) };
  return {
    batches: microBatches(shareOf(trees, group, long), microBatchTokens, long),
    ...sharedStep(trees, { group, name: 'the check of the last step', microBatchTokens, long }),
  };
}
