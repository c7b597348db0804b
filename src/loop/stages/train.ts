/** @file The stages that train: the reference's log-probabilities, the steps, and the model that comes out. */
import type { PreferenceRow } from '../../data/rows.ts';
import { DataError } from '../../errors.ts';
import { sha256 } from '../../files/hash.ts';
import { isAdapterDirectory } from '../../model/adapter/adapter.ts';
import type { ObjectiveOptions } from '../../objective/objective.ts';
import { randomKey } from '../../random.ts';
import { decisiveSettings } from '../../recipe/decisive.ts';
import type { PairTree, TreeLogProbs } from '../../score/trees.ts';
import type { ResponseRecord } from '../../store/ledger-rows.ts';
import { planSteps } from '../../train/plan.ts';
import { learningRateAt, scheduleOf, singleStepWarning } from '../../train/schedule.ts';
import { modelSha256 } from '../model-hash.ts';
import type { Lesson } from './lesson.ts';
import { loadOrScoreReference, treeKey } from './reference.ts';
import { samplerGaps } from './sampler-gap.ts';
import { type IterationContext, runStage } from './stage.ts';
import { tokenisePairs } from './tokens.ts';
import { trainAndSave } from './train-and-save.ts';
import { writePolicy } from './training-settings.ts';

export interface TrainStageInput {
  rows: readonly PreferenceRow[];
  /** Rows of earlier slices, for `accumulate`. */
  earlierRows?: readonly PreferenceRow[];
  policyDirectory: string;
  referenceDirectory: string;
  objective: ObjectiveOptions;
  /** Train although the stage is finished: its model is gone, and is made again. */
  again?: boolean;
}

/** Everything that decides what training does: steps of trees, and a name for all of it. */
interface Plan {
  steps: PairTree[][];
  pairs: number;
  referenceSha256: string;
  startsAtReference: boolean;
  /** Hash of weights, reference, tokens and settings: a checkpoint of another plan is not used. */
  id: string;
}

async function planTraining(context: IterationContext, input: TrainStageInput): Promise<Plan> {
  const { recipe, ledger, iteration, announce } = context;
  const { training } = recipe;
  const first = recipe.accumulate && iteration > 0 ? 1 : iteration;
  const pairs = Array.from({ length: iteration - first + 1 }, (_, i) => ledger.pairs(first + i)).flat();
  const rows = new Map([...(input.earlierRows ?? []), ...input.rows].map((row) => [row.promptId, row]));
  const { trees, counts } = tokenisePairs(context, pairs, { rows, objective: input.objective });
  if (counts.promptsCut + counts.responsesCut > 0) {
    announce({
      kind: 'note',
      text: `Cut to text.maxLength: ${counts.promptsCut} prompts, ${counts.responsesCut} responses of iteration ${iteration}`,
    });
  }
  if (counts.equalPairs > 0) {
    const text = `Left out of iteration ${iteration}: ${counts.equalPairs} pairs whose responses are the same tokens once they are cut to text.maxLength`;
    announce({ kind: 'warning', text });
  }
  if (trees.length === 0 && pairs.length > 0) {
    throw new DataError(
      'PAIRS_EQUAL',
      `Cannot train iteration ${iteration}: the responses of all its ${pairs.length} pairs are the same tokens once they are cut: raise text.maxLength (${recipe.text.maxLength})`,
      { details: { iteration, pairs: pairs.length } },
    );
  }
  const keys = Array.from({ length: training.epochs }, (_, epoch) =>
    randomKey(recipe.seed, 'shuffle', iteration, epoch),
  );
  const steps = planSteps(trees.length, { ...training, keys }).map((indices) =>
    indices.flatMap((index) => trees[index] ?? []),
  );
  const [policySha256, referenceSha256] = [
    await modelSha256(input.policyDirectory),
    await modelSha256(input.referenceDirectory),
  ];
  const id = sha256(
    JSON.stringify([
      policySha256,
      referenceSha256,
      trees.map(({ label, ...tree }) => [
        treeKey(tree),
        tree.winProbabilities,
        ...(label === undefined ? [] : [label]),
      ]),
      steps.map((step) => step.map((tree) => tree.pairId)),
      input.objective,
      decisiveSettings(training),
      iteration,
    ]),
  );
  return { steps, pairs: trees.length, referenceSha256, startsAtReference: policySha256 === referenceSha256, id };
}

/** Trains from pi_{t-1} on the iteration's pairs, and saves pi_t in the run's iteration-t/model. */
export async function trainOnPairs(context: IterationContext, input: TrainStageInput): Promise<void> {
  const { recipe, run, ledger, iteration, announce } = context;
  if (ledger.stages.status(iteration, 'train') === 'finished' && input.again !== true) {
    for (const stage of ['reference', 'train'] as const) announce({ kind: 'stage-skipped', stage });
    return;
  }
  const plan = await planTraining(context, input);
  if (recipe.training.adapter.kind === 'lora') {
    const held = isAdapterDirectory(input.referenceDirectory)
      ? 'the base with the adapter'
      : 'the base without adapter,';
    announce({
      kind: 'note',
      text: `The reference of iteration ${iteration} is ${held} ${input.referenceDirectory}`,
    });
  }
  const { steps, pairs, startsAtReference } = plan;
  const request = { ...plan, referenceDirectory: input.referenceDirectory };
  const load = (): Promise<Map<string, TreeLogProbs>> =>
    loadOrScoreReference(context, request, {
      started: (done, total) => announce({ kind: 'stage-started', stage: 'reference', total, done, unit: 'pairs' }),
      advanced: (done, total) => announce({ kind: 'stage-progress', stage: 'reference', done, total }),
    });
  await runStage(context, 'reference', async () => `log-probabilities of ${(await load()).size} pairs`);
  const reference = await load(); // of the ledger, whichever attempt put them there
  const gaps = samplerGaps({ ...plan, reference, responsesOf: responsesByPair(context) });
  const schedule = scheduleOf(recipe, { iteration, totalSteps: steps.length });
  const warning = singleStepWarning(schedule, `Training of iteration ${iteration}`);
  if (warning !== null) announce({ kind: 'warning', text: warning });
  const lesson: Lesson = { kind: 'preferences', reference, startsAtReference, objective: input.objective };
  await trainAndSave(context, {
    stage: 'train',
    recipe,
    startDirectory: input.policyDirectory,
    modelDirectory: run.modelPath(iteration),
    checkpointsDirectory: run.checkpointsPath(iteration),
    steps,
    plan: plan.id,
    learningRateAt: (step) => learningRateAt(step, schedule),
    learningRateSetting: 'training.learningRate',
    lesson,
    moreMetrics: gaps,
    detail: ({ loss = Number.NaN, 'rewards/margins': margin = 0 }) =>
      `loss ${loss.toFixed(4)}, margin ${margin.toFixed(3)}`,
    material: `${pairs} pairs`,
    write: writePolicy(recipe),
  });
}

/** What the iteration's policy said to the prompt of each pair. */
function responsesByPair({ ledger, iteration }: IterationContext): (pairId: string) => readonly ResponseRecord[] {
  const byPrompt = new Map<string, ResponseRecord[]>();
  for (const response of ledger.responses(iteration))
    byPrompt.set(response.promptId, [...(byPrompt.get(response.promptId) ?? []), response]);
  const promptOf = new Map(ledger.pairs(iteration).map(({ pairId, promptId }) => [pairId, promptId]));
  return (pairId) => byPrompt.get(promptOf.get(pairId) ?? '') ?? [];
}
