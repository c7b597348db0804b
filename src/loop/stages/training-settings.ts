/**
 * @file From a recipe to the settings of a training: the policy's files, and how its steps are made. They are the same
 * at every rank.
 */
import type { WrittenFiles } from '../../files/atomic.ts';
import { baseDirectory, namedFactors, writeAdapterFiles } from '../../model/adapter/adapter.ts';
import type { Model } from '../../model/load.ts';
import { type WeightInParts, writeModelFiles } from '../../model/save.ts';
import type { SftRecipe } from '../../recipe/sft.ts';
import { type LoraStart, openPolicy, type Policy } from '../../score/policy.ts';
import { openSharedPolicy } from '../../score/shared-policy.ts';
import type { Sharing } from '../../shard/shards.ts';
import type { Group } from '../../torch/group.ts';
import { chooseActivations, roomOn } from '../../train/activations.ts';
import { openRewardPolicy } from '../../train/reward-step.ts';
import type { Optimisation } from '../../train/run-steps.ts';
import type { Lesson } from './lesson.ts';

/** What a training needs of a recipe, of either kind. How often it passes over its data is in its steps already. */
export type TrainingRecipe = Pick<SftRecipe, 'name' | 'model' | 'seed' | 'device'> & {
  training: Omit<SftRecipe['training'], 'epochs'>;
};

/** How the steps of a training are made, and the learning rate of each. */
export function optimisationOf(
  { training }: TrainingRecipe,
  { policy, learningRateAt }: { policy: Policy; learningRateAt: (step: number) => number },
): Optimisation {
  return {
    adamW: {
      beta1: training.adamBeta1,
      beta2: training.adamBeta2,
      epsilon: training.adamEpsilon,
      weightDecay: training.weightDecay,
    },
    learningRateAt,
    maxGradientNorm: training.maxGradNorm,
    microBatchTokens: training.microBatchTokens,
    checkpointEverySteps: training.checkpointEverySteps,
    activations: chooseActivations(training, policy.config, roomOn(policy.device)),
  };
}

/** An adapter's training starts at random numbers of the recipe's seed. */
export function loraStart({ training: { adapter }, seed }: TrainingRecipe): LoraStart | null {
  switch (adapter.kind) {
    case 'none':
      return null;
    case 'lora':
      return { settings: adapter, seed };
  }
}

/** How the ranks of a group share the policy; null where each has it whole, as one process does. */
export function sharingOf({ training }: TrainingRecipe, group: Group): Sharing | null {
  return training.sharding === 'none' || group.size === 1 ? null : { kind: training.sharding, group };
}

/** Opens what a lesson trains, of a model: the policy, or a reward model that begins from it; this rank's part where ranks share it. */
export function openTrained(
  model: Model,
  { recipe, lesson, sharing }: { recipe: TrainingRecipe; lesson: Lesson; sharing: Sharing | null },
): Policy {
  const { dtype, states } = recipe.training;
  const lora = loraStart(recipe);
  if (lesson.kind === 'rewards') return openRewardPolicy(model, { dtype, states, lora, sharing });
  return sharing === null
    ? openPolicy(model, { dtype, states, purpose: 'train', lora, source: 'freed' })
    : openSharedPolicy(model, { dtype, states, lora, sharing });
}

/** The trained weights of a policy as they lie in a checkpoint, by name. */
export type StoredPolicy = ReadonlyMap<string, WeightInParts>;

/**
 * How the policy of a recipe is saved into a new directory: a whole model, or an adapter that names its base. `stored` where ranks
 * share the policy, and none has it whole.
 */
export function writePolicy(
  recipe: TrainingRecipe,
): (directory: string, policy: Policy, stored: StoredPolicy | null) => WrittenFiles {
  return (directory, { config, masters, lowRank }, stored) => {
    const base = baseDirectory(recipe.model);
    if (lowRank === null)
      return writeModelFiles(directory, { base, raw: config.raw, weights: stored ?? masters, dtype: 'as-it-is' });
    return writeAdapterFiles(directory, {
      adapter: lowRank.adapter,
      factors: stored ?? namedFactors(lowRank.adapter),
      config,
      base,
    });
  };
}
