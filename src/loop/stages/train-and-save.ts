/**
 * @file The frame of a training, whatever it learns from: the policy is opened, goes on from the newest checkpoint of this
 * very plan, its steps are made and kept, and the model is saved whole or not at all.
 */
import { SelmError } from '../../errors.ts';
import { commitDirectory, verifyDirectory, type WrittenFiles } from '../../files/atomic.ts';
import { baseDirectory, writeAdapterFiles } from '../../model/adapter/adapter.ts';
import { type Model, withModel } from '../../model/load.ts';
import { longAfter } from '../../model/rope.ts';
import { weightBytes, writeModelFiles } from '../../model/save.ts';
import type { SftRecipe } from '../../recipe/sft.ts';
import { microBatches } from '../../score/packing.ts';
import { type LoraStart, openPolicy, type Policy } from '../../score/policy.ts';
import type { TokenTree } from '../../score/trees.ts';
import { resetPeak } from '../../torch/memory.ts';
import { chooseActivations } from '../../train/activations.ts';
import { removeCheckpoints, restoreCheckpoint } from '../../train/checkpoint.ts';
import { checkTrained, explainDivergence, lossWarning, type Progress } from '../../train/divergence.ts';
import { openOptimiser } from '../../train/optimiser.ts';
import type { Optimisation, StepMetrics, StepsInput, TakenStep } from '../../train/run-steps.ts';
import { finishStage, type IterationContext } from './stage.ts';

/** What a training needs of a recipe, of either kind. */
export type TrainingRecipe = Pick<SftRecipe, 'name' | 'model' | 'seed' | 'device' | 'training'>;

/** One training: from where, of what, and where to. */
export interface TrainingJob<Item extends TokenTree> {
  stage: 'train' | 'sft' | 'reward-model';
  recipe: TrainingRecipe;
  /** Directory of the model that training starts from. */
  startDirectory: string;
  /** Where the result goes, and the checkpoints on the way. */
  modelDirectory: string;
  checkpointsDirectory: string;
  steps: readonly (readonly Item[])[];
  /** Hash of everything that decides the result: a checkpoint or a model of another plan is not used. */
  plan: string;
  /** Learning rate of each step, from 0. */
  learningRateAt: (step: number) => number;
  /** Name of the setting that it comes from. */
  learningRateSetting: 'training.learningRate' | 'rewardModel.learningRate';
  /** The policy to train, of the model in `startDirectory`. */
  open(model: Model): Policy;
  train(input: StepsInput<Item>, settings: Optimisation): AsyncGenerator<TakenStep>;
  /** Fills a new directory with what came out. */
  write(directory: string, policy: Policy): WrittenFiles;
  /** What the progress shows of a step. */
  detail(metrics: StepMetrics): string;
  /** What the steps were made of: `128 pairs`. */
  material: string;
}

/** What of its surroundings a training uses. */
export type TrainingContext = Pick<IterationContext, 'ledger' | 'announce' | 'signal' | 'iteration'>;

/** Trains and saves, from the newest checkpoint on; a model that this plan has saved already is left as it is. */
export async function trainAndSave<Item extends TokenTree>(
  context: TrainingContext,
  job: TrainingJob<Item>,
): Promise<void> {
  const { ledger, announce, iteration } = context;
  const { stage, recipe, steps, plan, modelDirectory, checkpointsDirectory } = job;
  const startedMs = performance.now();
  const finish = (summary: string): void => finishStage(context, stage, { startedMs, summary });
  if (await isSaved(modelDirectory, plan)) {
    ledger.beginStage(iteration, stage, { resumeStep: steps.length });
    finish('the model was saved already');
    return;
  }
  resetPeak();
  using policy = withModel(job.startDirectory, (model) => job.open(model), { device: recipe.device });
  using optimiser = openOptimiser(policy);
  const restored = await restoreCheckpoint(checkpointsDirectory, { policy, optimiser, plan });
  for (const { path, reason } of restored.passedOver)
    announce({ kind: 'warning', text: `Checkpoint ${path} is not used: ${reason}` });
  ledger.beginStage(iteration, stage, { resumeStep: restored.step });
  const [total, done] = [steps.length, restored.step];
  announce({ kind: 'stage-started', stage, total, done, unit: 'steps' });
  const input: StepsInput<Item> = {
    policy,
    optimiser,
    steps,
    firstStep: restored.step,
    checkpoints: { folder: checkpointsDirectory, plan },
    signal: context.signal,
  };
  await makeSteps(context, job, input);
  announce({ kind: 'note', text: `Saving the model in ${modelDirectory}` });
  await commitDirectory(modelDirectory, (temporary) => job.write(temporary, policy), {
    details: { plan, iteration },
    bytesNeeded: weightBytes(policy.masters, 'float32'),
  });
  removeCheckpoints(checkpointsDirectory);
  finish(`${steps.length} steps on ${job.material}, last loss ${lossInLedger(context, stage, total - 1).toFixed(4)}`);
}

/** Makes the steps that are left and keeps their metrics. What training ruined is refused here, before it is saved. */
async function makeSteps<Item extends TokenTree>(
  context: TrainingContext,
  job: TrainingJob<Item>,
  input: StepsInput<Item>,
): Promise<void> {
  const { ledger, announce, iteration } = context;
  const { stage, steps } = job;
  const { policy } = input;
  const optimisation = optimisationOf(job, policy);
  const total = steps.length;
  const progress = (made: number): Progress => ({
    made,
    of: total,
    loss: lossInLedger(context, stage, made - 1),
    learningRate: job.learningRateAt(Math.max(0, made - 1)),
    setting: job.learningRateSetting,
  });
  let made = input.firstStep;
  try {
    for await (const { step, metrics } of job.train(input, optimisation)) {
      made = step + 1;
      ledger.putMetric({ iteration, stage, step, values: metrics });
      // Whoever reads metrics as they come takes them for the policy's.
      if (stage !== 'reward-model') announce({ kind: 'metrics', step, values: metrics });
      announce({ kind: 'stage-progress', stage, done: made, total, detail: job.detail(metrics) });
    }
  } catch (error) {
    throw explainDivergence(error, progress(made));
  }
  const lastBatches = microBatches(steps.at(-1) ?? [], optimisation.microBatchTokens, longAfter(policy.config));
  checkTrained(policy, lastBatches, progress(total));
  const warning = lossWarning(lossInLedger(context, stage, 0), progress(total));
  if (warning !== null) announce({ kind: 'warning', text: warning });
}

/** Loss of a step that was made, in whichever attempt; NaN of another. */
function lossInLedger(
  { ledger, iteration }: TrainingContext,
  stage: TrainingJob<never>['stage'],
  step: number,
): number {
  const found = ledger
    .metrics()
    .find((each) => each.iteration === iteration && each.stage === stage && each.step === step);
  return found?.values.loss ?? Number.NaN;
}

function optimisationOf<Item extends TokenTree>(
  { recipe, learningRateAt }: TrainingJob<Item>,
  policy: Policy,
): Optimisation {
  const { training } = recipe;
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

/** How the policy of a recipe is opened, and saved: a whole model, or an adapter that names its base. */
export function policyFiles(recipe: TrainingRecipe): Pick<TrainingJob<never>, 'open' | 'write'> {
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

/** True when this very plan's model is there and whole: a run that died just after saving it need not train again. */
export async function isSaved(directory: string, plan: string): Promise<boolean> {
  try {
    return (await verifyDirectory(directory)).details.plan === plan;
  } catch (error) {
    if (error instanceof SelmError) return false;
    throw error;
  }
}
