/** @file From a recipe to what training is done with: the policy's files, and how its steps are made. The same at every rank. */
import type { WrittenFiles } from '../../files/atomic.ts';
import { baseDirectory, writeAdapterFiles } from '../../model/adapter/adapter.ts';
import type { Model } from '../../model/load.ts';
import { writeModelFiles } from '../../model/save.ts';
import type { SftRecipe } from '../../recipe/sft.ts';
import { type LoraStart, openPolicy, type Policy } from '../../score/policy.ts';
import { chooseActivations } from '../../train/activations.ts';
import type { Optimisation } from '../../train/run-steps.ts';

/** What a training needs of a recipe, of either kind. */
export type TrainingRecipe = Pick<SftRecipe, 'name' | 'model' | 'seed' | 'device' | 'training'>;

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
    activations: chooseActivations(training, policy.config),
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

/** How a policy is opened, and saved. */
export interface PolicyFiles {
  /** The policy to train, of a model. */
  open(model: Model): Policy;
  /** Fills a new directory with what came out. */
  write(directory: string, policy: Policy): WrittenFiles;
}

/** How the policy of a recipe is opened, and saved: a whole model, or an adapter that names its base. */
export function policyFiles(recipe: TrainingRecipe): PolicyFiles {
  return {
    open: (model) => openPolicy(model, { dtype: recipe.training.dtype, purpose: 'train', lora: loraStart(recipe) }),
    write(directory, { config, masters, lowRank }) {
      const base = baseDirectory(recipe.model);
      return lowRank === null
        ? writeModelFiles(directory, { base, raw: config.raw, weights: masters, dtype: 'float32' })
        : writeAdapterFiles(directory, { adapter: lowRank.adapter, config, base });
    },
  };
}
