/** @file The stages that train: the reference's log-probabilities, the steps, and the model that comes out. */
import type { PreferenceRow } from '../../data/rows.ts';
import { SelmError } from '../../errors.ts';
import { commitDirectory, verifyDirectory } from '../../files/atomic.ts';
import { sha256 } from '../../files/hash.ts';
import { baseDirectory, isAdapterDirectory, writeAdapterFiles } from '../../model/adapter.ts';
import { withModel } from '../../model/load.ts';
import { weightBytes, writeModelFiles } from '../../model/save.ts';
import type { ObjectiveOptions } from '../../objective/objective.ts';
import { randomKey } from '../../random.ts';
import type { Recipe } from '../../recipe/schema.ts';
import { resetPeak } from '../../torch/memory.ts';
import { chooseActivations } from '../../train/activations.ts';
import { removeCheckpoints, restoreCheckpoint } from '../../train/checkpoint.ts';
import { openOptimiser } from '../../train/optimiser.ts';
import { planSteps } from '../../train/plan.ts';
import { type LoraStart, openPolicy, type Policy } from '../../train/policy.ts';
import { scoreSteps } from '../../train/reference.ts';
import { learningRateAt, scheduleOf } from '../../train/schedule.ts';

import { type TrainSettings, trainPolicy } from '../../train/train.ts';
import type { PairTree, TreeLogProbs } from '../../train/trees.ts';
import { modelSha256 } from '../model-hash.ts';
import { finishStage, type IterationContext, runStage } from './stage.ts';
import { tokenisePairs } from './tokens.ts';

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
  const { recipe, ledger, iteration, watch } = context;
  const { training } = recipe;
  const first = recipe.accumulate && iteration > 0 ? 1 : iteration;
  const pairs = Array.from({ length: iteration - first + 1 }, (_, i) => ledger.pairs(first + i)).flat();
  const rows = new Map([...(input.earlierRows ?? []), ...input.rows].map((row) => [row.promptId, row]));
  const { trees, counts } = tokenisePairs(context, pairs, { rows, objective: input.objective });
  if (counts.promptsCut + counts.responsesCut > 0) {
    watch({
      kind: 'note',
      text: `Cut to text.maxLength: ${counts.promptsCut} prompts, ${counts.responsesCut} responses of iteration ${iteration}`,
    });
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
      trees.map((tree) => [treeKey(tree), tree.winProbabilities]),
      steps.map((step) => step.map((tree) => tree.pairId)),
      input.objective,
      training,
      iteration,
    ]),
  );
  return { steps, pairs: trees.length, referenceSha256, startsAtReference: policySha256 === referenceSha256, id };
}

/** Of all that decides a tree's log-probabilities, the weights aside. */
function treeKey(tree: PairTree): string {
  return sha256([tree.promptIds, ...tree.continuations, ...(tree.scored ?? [])].map((ids) => ids.join(' ')).join('\n'));
}

/** Computes pi_ref's log-probabilities of all pairs, or takes them from the ledger: keyed by weights' and tokens' hashes. */
async function scoreReference(
  context: IterationContext,
  input: TrainStageInput,
  plan: Plan,
): Promise<Map<string, TreeLogProbs>> {
  const { recipe, ledger, iteration, watch } = context;
  const treeOf = new Map(plan.steps.flat().map((tree) => [tree.pairId, tree]));
  const keyOf = (tree: PairTree, index: number): string =>
    `${plan.referenceSha256}/${recipe.training.dtype}/${treeKey(tree)}/${index}`;
  const known = new Map<string, TreeLogProbs>();
  for (const [pairId, tree] of treeOf) {
    const stored = tree.continuations.map((_, index) => ledger.getReferenceLogProb(keyOf(tree, index)));
    if (stored.every((logProb) => logProb !== null)) known.set(pairId, stored);
  }
  if (known.size === treeOf.size) return known;
  watch({
    kind: 'stage-started',
    run: recipe.name,
    iteration,
    stage: 'reference',
    total: treeOf.size,
    done: known.size,
    unit: 'pairs',
  });
  // Read as the policy's own frozen weights are, so that the first loss is known to the bit.
  const frozen = recipe.training.adapter.kind === 'lora' ? 'in-place' : 'copied';
  const reference = withModel(
    input.referenceDirectory,
    (model) => openPolicy(model, { dtype: recipe.training.dtype, purpose: 'score', frozen }),
    recipe,
  );
  try {
    const { microBatchTokens } = recipe.training;
    for await (const scores of scoreSteps(reference, plan.steps, { microBatchTokens, known: new Map(known) })) {
      const entries = [...scores].flatMap(([pairId, logProbs]) => {
        const tree = treeOf.get(pairId);
        return tree === undefined ? [] : logProbs.map((logProb, index) => ({ key: keyOf(tree, index), logProb }));
      });
      ledger.putReferenceLogProbs(entries);
      for (const [pairId, logProbs] of scores) known.set(pairId, logProbs);
      watch({ kind: 'stage-progress', iteration, stage: 'reference', done: known.size, total: treeOf.size });
      context.signal?.throwIfAborted();
    }
  } finally {
    reference.dispose();
  }
  return known;
}

function trainSettings(
  context: IterationContext,
  input: TrainStageInput,
  totalSteps: number,
): Omit<TrainSettings, 'activations'> {
  const { recipe, iteration } = context;
  const { training } = recipe;
  const schedule = scheduleOf(recipe, { iteration, totalSteps });
  return {
    objective: input.objective,
    adamW: {
      beta1: training.adamBeta1,
      beta2: training.adamBeta2,
      epsilon: training.adamEpsilon,
      weightDecay: training.weightDecay,
    },
    learningRateAt: (step) => learningRateAt(step, schedule),
    maxGradientNorm: training.maxGradNorm,
    microBatchTokens: training.microBatchTokens,
    checkpointEverySteps: training.checkpointEverySteps,
  };
}

/** An adapter's training starts at random numbers of the recipe's seed. */
export function loraStart({ training: { adapter }, seed }: Recipe): LoraStart | null {
  switch (adapter.kind) {
    case 'none':
      return null;
    case 'lora':
      return { settings: adapter, seed };
  }
}

/** Saves what was trained: a whole model, or an adapter that names its base. */
function writePolicy(directory: string, { config, masters, lowRank }: Policy, base: string): void {
  if (lowRank === null) writeModelFiles(directory, { base, raw: config.raw, weights: masters, dtype: 'float32' });
  else writeAdapterFiles(directory, { adapter: lowRank.adapter, config, base });
}

/** True when this very plan's model is there and whole: a run that died just after saving it need not train again. */
async function isSaved(directory: string, plan: string): Promise<boolean> {
  try {
    return (await verifyDirectory(directory)).details.plan === plan;
  } catch (error) {
    if (error instanceof SelmError) return false;
    throw error;
  }
}

/** Trains from pi_{t-1} on the iteration's pairs, and saves pi_t in the run's iteration-t/model. */
export async function trainOnPairs(context: IterationContext, input: TrainStageInput): Promise<void> {
  if (context.ledger.stageStatus(context.iteration, 'train') === 'finished' && input.again !== true) {
    for (const stage of ['reference', 'train'] as const)
      context.watch({ kind: 'stage-skipped', iteration: context.iteration, stage });
    return;
  }
  const plan = await planTraining(context, input);
  const reference = new Map<string, TreeLogProbs>();
  const score = async (): Promise<string> => {
    for (const [pairId, logProbs] of await scoreReference(context, input, plan)) reference.set(pairId, logProbs);
    return `log-probabilities of ${plan.pairs} pairs`;
  };
  if (context.recipe.training.adapter.kind === 'lora') {
    const held = isAdapterDirectory(input.referenceDirectory)
      ? 'the base with the adapter'
      : 'the base without adapter,';
    context.watch({
      kind: 'note',
      text: `The reference of iteration ${context.iteration} is ${held} ${input.referenceDirectory}`,
    });
  }
  await runStage(context, 'reference', score);
  if (reference.size === 0) await score(); // an earlier attempt computed them: read them back
  await trainAndSave(context, input, { plan, reference });
}

async function trainAndSave(
  context: IterationContext,
  input: TrainStageInput,
  { plan, reference }: { plan: Plan; reference: Map<string, TreeLogProbs> },
): Promise<void> {
  const { recipe, run, ledger, iteration, watch } = context;
  const modelDirectory = run.modelPath(iteration);
  const startedMs = performance.now();
  const finish = (summary: string): void => finishStage(context, 'train', { startedMs, summary });
  if (await isSaved(modelDirectory, plan.id)) {
    ledger.beginStage(iteration, 'train', { resumeStep: plan.steps.length });
    finish('the model was saved already');
    return;
  }
  resetPeak();
  const folder = run.checkpointsPath(iteration);
  using policy = withModel(
    input.policyDirectory,
    (model) => openPolicy(model, { dtype: recipe.training.dtype, purpose: 'train', lora: loraStart(recipe) }),
    recipe,
  );
  using optimiser = openOptimiser(policy);
  const restored = await restoreCheckpoint(folder, { policy, optimiser, plan: plan.id });
  for (const { path, reason } of restored.passedOver)
    watch({ kind: 'warning', text: `Checkpoint ${path} is not used: ${reason}` });
  ledger.beginStage(iteration, 'train', { resumeStep: restored.step });
  watch({
    kind: 'stage-started',
    run: recipe.name,
    iteration,
    stage: 'train',
    total: plan.steps.length,
    done: restored.step,
    unit: 'steps',
  });
  const settings = {
    ...trainSettings(context, input, plan.steps.length),
    activations: chooseActivations(recipe, policy.config),
  };
  const { steps, startsAtReference } = plan;
  const training = {
    policy,
    optimiser,
    steps,
    firstStep: restored.step,
    reference,
    startsAtReference,
    checkpoints: { folder, plan: plan.id },
    signal: context.signal,
  };
  let loss = Number.NaN;
  for await (const { step, metrics } of trainPolicy(training, settings)) {
    loss = metrics.loss ?? Number.NaN;
    ledger.putMetric({ iteration, stage: 'train', step, values: metrics });
    watch({ kind: 'metrics', iteration, step, values: metrics });
    const detail = `loss ${loss.toFixed(4)}, margin ${(metrics['rewards/margins'] ?? 0).toFixed(3)}`;
    watch({ kind: 'stage-progress', iteration, stage: 'train', done: step + 1, total: steps.length, detail });
  }
  watch({ kind: 'note', text: `Saving the model of iteration ${iteration}` });
  await commitDirectory(modelDirectory, (temporary) => writePolicy(temporary, policy, baseDirectory(recipe.model)), {
    details: { plan: plan.id, iteration },
    bytesNeeded: weightBytes(policy.masters, 'float32'),
  });
  removeCheckpoints(folder);
  finish(`${steps.length} steps on ${plan.pairs} pairs, last loss ${loss.toFixed(4)}`);
}
