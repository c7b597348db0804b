/** @file The stages that train: the reference's log-probabilities, the steps, and the model that comes out. */
import type { PreferenceRow } from '../../data/rows.ts';
import { sha256 } from '../../files/hash.ts';
import { isAdapterDirectory } from '../../model/adapter/adapter.ts';
import { withModel } from '../../model/load.ts';
import type { ObjectiveOptions } from '../../objective/objective.ts';
import { randomKey } from '../../random.ts';
import { decisiveSettings } from '../../recipe/decisive.ts';
import { scoreSteps } from '../../score/log-probs.ts';
import { openPolicy } from '../../score/policy.ts';
import type { PairTree, TreeLogProbs } from '../../score/trees.ts';
import { planSteps } from '../../train/plan.ts';
import { scheduleOf } from '../../train/schedule.ts';
import { trainPolicy } from '../../train/train.ts';
import { modelSha256 } from '../model-hash.ts';
import { type IterationContext, runStage } from './stage.ts';
import { tokenisePairs } from './tokens.ts';
import { trainAndSave } from './train-and-save.ts';

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
      decisiveSettings(training),
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
  const { recipe, ledger, announce } = context;
  const treeOf = new Map(plan.steps.flat().map((tree) => [tree.pairId, tree]));
  const keyOf = (tree: PairTree, index: number): string =>
    `${plan.referenceSha256}/${recipe.training.dtype}/${treeKey(tree)}/${index}`;
  const known = new Map<string, TreeLogProbs>();
  for (const [pairId, tree] of treeOf) {
    const stored = tree.continuations.map((_, index) => ledger.getReferenceLogProb(keyOf(tree, index)));
    if (stored.every((logProb) => logProb !== null)) known.set(pairId, stored);
  }
  if (known.size === treeOf.size) return known;
  announce({
    kind: 'stage-started',
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
      announce({ kind: 'stage-progress', stage: 'reference', done: known.size, total: treeOf.size });
      context.signal?.throwIfAborted();
    }
  } finally {
    reference.dispose();
  }
  return known;
}

/** Trains from pi_{t-1} on the iteration's pairs, and saves pi_t in the run's iteration-t/model. */
export async function trainOnPairs(context: IterationContext, input: TrainStageInput): Promise<void> {
  if (context.ledger.stageStatus(context.iteration, 'train') === 'finished' && input.again !== true) {
    for (const stage of ['reference', 'train'] as const) context.announce({ kind: 'stage-skipped', stage });
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
    context.announce({
      kind: 'note',
      text: `The reference of iteration ${context.iteration} is ${held} ${input.referenceDirectory}`,
    });
  }
  await runStage(context, 'reference', score);
  if (reference.size === 0) await score(); // an earlier attempt computed them: read them back
  const { recipe, run, iteration } = context;
  const { steps, pairs, startsAtReference } = plan;
  await trainAndSave(context, {
    stage: 'train',
    recipe,
    startDirectory: input.policyDirectory,
    modelDirectory: run.modelPath(iteration),
    checkpointsDirectory: run.checkpointsPath(iteration),
    steps,
    plan: plan.id,
    schedule: scheduleOf(recipe, { iteration, totalSteps: steps.length }),
    train: (from, settings) =>
      trainPolicy({ ...from, reference, startsAtReference }, { ...settings, objective: input.objective }),
    detail: ({ loss = Number.NaN, 'rewards/margins': margin = 0 }) =>
      `loss ${loss.toFixed(4)}, margin ${margin.toFixed(3)}`,
    material: `${pairs} pairs`,
  });
}
