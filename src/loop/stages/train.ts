/** @file The stages that train: the reference's log-probabilities, the steps, and the model that comes out. */
import { isAdapterDirectory } from '../../model/adapter/adapter.ts';
import { learnsFromLabels } from '../../recipe/objective.ts';
import type { TreeLogProbs } from '../../score/trees.ts';
import { learningRateAt, scheduleOf, singleStepWarning } from '../../train/schedule.ts';
import { modelSha256 } from '../model-hash.ts';
import { planLabels } from './plan-labels.ts';
import { planPairs } from './plan-pairs.ts';
import { loadOrScoreReference } from './reference.ts';
import { type IterationContext, runStage } from './stage.ts';
import { trainAndSave } from './train-and-save.ts';
import type { TrainingPlan, TrainingStart, TrainStageInput } from './training-plan.ts';
import { writePolicy } from './training-settings.ts';

/** Trains from pi_{t-1} on the iteration's verdicts, and saves pi_t in the run's iteration-t/model. */
export async function trainNextPolicy(context: IterationContext, input: TrainStageInput): Promise<void> {
  const { recipe, run, ledger, iteration, announce } = context;
  if (ledger.stages.status(iteration, 'train') === 'finished' && input.again !== true) {
    for (const stage of ['reference', 'train'] as const) announce({ kind: 'stage-skipped', stage });
    return;
  }
  const { policyDirectory, referenceDirectory } = input;
  const [policySha256, referenceSha256] = [await modelSha256(policyDirectory), await modelSha256(referenceDirectory)];
  const { steps, scored, unit, count, id, lessonOf, metricsOf } = planOf(context, input, {
    policySha256,
    referenceSha256,
  });
  if (recipe.training.adapter.kind === 'lora') {
    const held = isAdapterDirectory(referenceDirectory) ? 'the base with the adapter' : 'the base without adapter,';
    announce({ kind: 'note', text: `The reference of iteration ${iteration} is ${held} ${referenceDirectory}` });
  }
  const load = (): Promise<Map<string, TreeLogProbs>> =>
    loadOrScoreReference(
      context,
      { referenceDirectory, referenceSha256, steps: scored },
      {
        started: (done, total) => announce({ kind: 'stage-started', stage: 'reference', total, done, unit }),
        advanced: (done, total) => announce({ kind: 'stage-progress', stage: 'reference', done, total }),
      },
    );
  await runStage(context, 'reference', async () => `log-probabilities of ${(await load()).size} ${unit}`);
  const reference = await load(); // of the ledger, whichever attempt put them there
  const schedule = scheduleOf(recipe, { iteration, totalSteps: steps.length });
  const warning = singleStepWarning(schedule, `Training of iteration ${iteration}`);
  if (warning !== null) announce({ kind: 'warning', text: warning });
  await trainAndSave(context, {
    stage: 'train',
    recipe,
    startDirectory: policyDirectory,
    modelDirectory: run.modelPath(iteration),
    checkpointsDirectory: run.checkpointsPath(iteration),
    steps,
    plan: id,
    learningRateAt: (step) => learningRateAt(step, schedule),
    learningRateSetting: 'training.learningRate',
    lesson: lessonOf(reference),
    moreMetrics: metricsOf(reference),
    detail: ({ loss = Number.NaN, 'rewards/margins': margin = 0 }) =>
      `loss ${loss.toFixed(4)}, margin ${margin.toFixed(3)}`,
    material: `${count} ${unit}`,
    write: writePolicy(recipe),
  });
}

/** A warm start has the data's pairs alone. */
function planOf(context: IterationContext, input: TrainStageInput, start: TrainingStart): TrainingPlan {
  const { preference } = context.recipe.objective;
  return preference.kind === 'kto' && learnsFromLabels(preference) && context.iteration > 0
    ? planLabels(context, { ...input, preference }, start)
    : planPairs(context, input, start);
}
