/**
 * @file The frame of a training, whatever it learns from: the policy is opened, goes on from the newest checkpoint of this
 * very plan, its steps are made and kept, and the model is saved whole or not at all.
 */
import { SelmError } from '../../errors.ts';
import { commitDirectory, verifyDirectory, type WrittenFiles } from '../../files/atomic.ts';
import { withModel } from '../../model/load.ts';
import type { Policy } from '../../score/policy.ts';
import type { TokenTree } from '../../score/trees.ts';
import { resetPeak } from '../../torch/memory.ts';
import { removeCheckpoints, restoreCheckpoint, trainedBytes, withStoredWeights } from '../../train/checkpoint.ts';
import { checkTrained, explainDivergence, lossWarning, type Progress } from '../../train/divergence.ts';
import { openOptimiser, type RoundingSource } from '../../train/optimiser.ts';
import { untilStopped } from '../../train/pausing.ts';
import type { StepMetrics, StepsInput } from '../../train/run-steps.ts';
import { type Lesson, learn } from './lesson.ts';
import { withMetrics } from './sampler-gap.ts';
import { finishStage, type IterationContext } from './stage.ts';
import { openTrained, optimisationOf, type StoredPolicy, sharingOf, type TrainingRecipe } from './training-settings.ts';
import { lastPasses, type TrainingSetting, trainingWork } from './training-work.ts';
import { verifyTogether } from './verifying.ts';

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
  /** What is learned: all ranks make each step together. */
  lesson: Lesson;
  /** Numbers of each step to put beside its metrics. @default none */
  moreMetrics?: readonly StepMetrics[];
  /** What the progress shows of a step. */
  detail(metrics: StepMetrics): string;
  /** What the steps were made of: `128 pairs`. */
  material: string;
  /** Fills a new directory with what came out: `stored` where ranks share the policy, and none has it whole. */
  write(directory: string, policy: Policy, stored: StoredPolicy | null): WrittenFiles;
}

/** The part of its surroundings that a training uses. */
export type TrainingContext = Pick<IterationContext, 'ledger' | 'announce' | 'signal' | 'iteration' | 'team'>;

/** Trains and saves, from the newest checkpoint on; a model that this plan has saved already is left as it is. */
export async function trainAndSave<Item extends TokenTree>(
  context: TrainingContext,
  job: TrainingJob<Item>,
): Promise<void> {
  const { ledger, announce, iteration } = context;
  const { stage, recipe, lesson, steps, plan, modelDirectory, checkpointsDirectory } = job;
  const startedMs = performance.now();
  const finish = (summary: string): void => finishStage(context, stage, { startedMs, summary });
  if (await isSaved(modelDirectory, plan)) {
    ledger.stages.begin(iteration, stage, { resumeStep: steps.length });
    finish('the model was saved already');
    return;
  }
  resetPeak(recipe.device);
  const sharing = sharingOf(recipe, context.team.group);
  if (recipe.training.sharding !== 'none' && sharing === null)
    announce({
      kind: 'note',
      text: `One process has the policy whole: training.sharding ${recipe.training.sharding} is for ranks`,
    });
  using policy = withModel(job.startDirectory, (model) => openTrained(model, { recipe, lesson, sharing }), {
    device: recipe.device,
  });
  const rounding: RoundingSource = { seed: recipe.seed, training: [stage, iteration] };
  using optimiser = openOptimiser(policy, rounding);
  const restored = await restoreCheckpoint(checkpointsDirectory, { policy, optimiser, plan }, (path) =>
    verifyTogether(path, context),
  );
  for (const { path, reason } of restored.passedOver)
    announce({ kind: 'warning', text: `Checkpoint ${path} is not used: ${reason}` });
  ledger.stages.begin(iteration, stage, { resumeStep: restored.step });
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
  await withOtherRanks(context, job, { input, rounding, makeSteps: (all) => makeSteps(context, job, all) });
  announce({ kind: 'note', text: `Saving the model in ${modelDirectory}` });
  const write = (temporary: string): WrittenFiles =>
    policy.shards === null
      ? job.write(temporary, policy, null)
      : withStoredWeights(checkpointsDirectory, policy, (stored) => job.write(temporary, policy, stored));
  await commitDirectory(modelDirectory, write, {
    details: { plan, iteration },
    bytesNeeded: trainedBytes(policy),
  });
  removeCheckpoints(checkpointsDirectory);
  finish(`${steps.length} steps on ${job.material}, last loss ${lossInLedger(context, stage, total - 1).toFixed(4)}`);
}

/** Makes the steps, with the other ranks. */
function withOtherRanks<Item extends TokenTree>(
  { team }: TrainingContext,
  { lesson, recipe, startDirectory, learningRateAt }: TrainingJob<Item>,
  {
    input,
    rounding,
    makeSteps,
  }: { input: StepsInput<Item>; rounding: RoundingSource; makeSteps: (input: StepsInput<Item>) => Promise<void> },
): Promise<void> {
  const { steps, firstStep, checkpoints } = input;
  const isShared = input.policy.shards !== null;
  if (firstStep === steps.length && !isShared) return makeSteps(input);
  const setting = (): TrainingSetting => ({
    recipe,
    startDirectory,
    lesson,
    steps,
    firstStep,
    checkpoints,
    rounding,
    learningRates: steps.map((_, step) => learningRateAt(step)),
  });
  return team.beside(trainingWork, setting, (group) => makeSteps({ ...input, group }));
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
  const optimisation = optimisationOf(job.recipe, { policy, learningRateAt: job.learningRateAt });
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
    const taken = withMetrics(learn(job.lesson, input, optimisation), job.moreMetrics ?? []);
    for await (const { step, metrics } of taken) {
      made = step + 1;
      ledger.putMetric({ iteration, stage, step, values: metrics });
      // Whoever reads metrics as they come takes them for the policy's.
      if (stage !== 'reward-model') announce({ kind: 'metrics', step, values: metrics });
      announce({ kind: 'stage-progress', stage, done: made, total, detail: job.detail(metrics) });
    }
  } catch (error) {
    throw explainDivergence(error, progress(made));
  }
  const last = lastPasses(steps, { policy, group: context.team.group, optimisation });
  await untilStopped(checkTrained(policy, last, progress(total)), undefined);
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

/** True when this very plan's model is there and whole: a run that died just after saving it need not train again. */
export async function isSaved(directory: string, plan: string): Promise<boolean> {
  try {
    return (await verifyDirectory(directory)).details.plan === plan;
  } catch (error) {
    if (error instanceof SelmError) return false;
    throw error;
  }
}
