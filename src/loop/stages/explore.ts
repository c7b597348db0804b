/**
 * @file The stage that measures what exploration did in an iteration, on some of its prompts: how far the new policy went
 * from the reference on the response y of the optimism term, and how strong that term's gradient is beside the preference
 * loss's. Also without the term (the alpha = 0 twin), so that the two can be compared. Changes nothing.
 */

import type { PreferenceRow } from '../../data/rows.ts';
import { withModel } from '../../model/load.ts';
import { longAfter } from '../../model/rope.ts';
import type { ObjectiveOptions } from '../../objective/objective.ts';
import { randomKey, uniformAt } from '../../random.ts';
import { microBatches } from '../../score/packing.ts';
import { openPolicy, type Policy } from '../../score/policy.ts';
import { type PairTree, type TreeLogProbs, treeTokens } from '../../score/trees.ts';
import type { ExplorationMeasure, GradientNorms } from '../../store/exploration-measure.ts';
import type { StoredPair } from '../../store/ledger-rows.ts';
import { noGrad } from '../../torch/autograd.ts';
import { _foreach_add__List, clone } from '../../torch/ops.ts';
import { disposeAll, outlive, scope, type Tensor } from '../../torch/tensor.ts';
import { chooseActivations, roomOn } from '../../train/activations.ts';
import { gradientNorm } from '../../train/optimiser.ts';
import { untilStopped } from '../../train/pausing.ts';
import { type LossTerms, stepGradients } from '../../train/step.ts';
import { modelSha256 } from '../model-hash.ts';
import { gradientsOfAPair, planExploration, scoringsOfAPair } from './explore-plan.ts';
import { loadOrScoreReference } from './reference.ts';
import { scoreTogether } from './scoring.ts';
import type { IterationContext } from './stage.ts';
import { tokenisePairs } from './tokens.ts';
import { loraStart } from './training-settings.ts';

/** Measures the iteration that was just trained, on as many prompts as a share of the training's cost allows. */
export async function measureExploration(
  context: IterationContext,
  input: {
    rows: readonly PreferenceRow[];
    objective: ObjectiveOptions;
    modelDirectory: string;
    referenceDirectory: string;
  },
): Promise<string> {
  const { recipe, ledger, iteration, announce } = context;
  const explores = input.objective.exploration.kind !== 'none';
  const drawn = treesOf(context, drawPairs(context), input);
  const plan = planExploration(
    drawn.map((tree) => treeTokens(tree)),
    { trained: trainedTokens(context), explores },
  );
  const trees = drawn.slice(0, plan.scored);
  // The bar counts passes of the model over a pair, forward and backward as one.
  const total = plan.scored * scoringsOfAPair({ explores }) + plan.differentiated * gradientsOfAPair({ explores });
  let done = 0;
  const advance = (pairs: number): void => {
    done = Math.min(total, done + pairs);
    announce({ kind: 'stage-progress', stage: 'explore', done, total });
  };
  announce({ kind: 'stage-started', stage: 'explore', total, done, unit: 'passes over a pair' });
  if (trees.length === 0) return 'no pair has a response to measure';

  const reference = await loadOrScoreReference(
    context,
    {
      referenceDirectory: input.referenceDirectory,
      referenceSha256: await modelSha256(input.referenceDirectory),
      steps: [trees],
    },
    { started: () => {}, advanced: (known) => advance(known - done) },
  );
  const scores = await scoreAll(context, { modelDirectory: input.modelDirectory, trees, advance });
  const responseOf = (from: ReadonlyMap<string, TreeLogProbs>, tree: PairTree): number =>
    tree.response === null ? Number.NaN : (from.get(tree.pairId)?.[tree.response] ?? Number.NaN);
  const logRatios = trees.map((tree) => responseOf(scores, tree) - responseOf(reference, tree));
  // Few pairs, on one rank: their gradients are too large to be sent for that.
  const { dtype, states } = recipe.training;
  using policy = withModel(
    input.modelDirectory,
    (model) => openPolicy(model, { dtype, states, purpose: 'train', lora: loraStart(recipe), source: 'freed' }),
    { device: recipe.device },
  );
  const gradient = await measureGradients(context, policy, {
    trees: trees.slice(0, plan.differentiated),
    reference,
    objective: input.objective,
    advance,
  });
  const promptOf = new Map(ledger.pairs(iteration).map(({ pairId, promptId }) => [pairId, promptId]));
  const promptIds = trees.map(({ pairId }) => promptOf.get(pairId) ?? '');
  const measure: ExplorationMeasure = { promptIds, logRatios, gradient };
  ledger.putRecord(iteration, 'exploration', measure);
  const mean = logRatios.reduce((sum, value) => sum + value, 0) / logRatios.length;
  const strength = gradient.exploration / gradient.preference;
  return `log-ratio of y ${mean.toFixed(3)} nats over ${trees.length} prompts, optimism gradient ${strength.toPrecision(2)} of the preference's`;
}

/** One pair a prompt, of prompts drawn by the seed alone: a twin measures the same ones, where both have a pair. */
function drawPairs({ recipe, ledger, iteration }: IterationContext): StoredPair[] {
  const byPrompt = new Map<string, StoredPair>();
  for (const pair of ledger.pairs(iteration)) {
    if (pair.response !== null && !byPrompt.has(pair.promptId)) byPrompt.set(pair.promptId, pair);
  }
  const drawn = [...byPrompt.values()].map((pair) => ({
    pair,
    order: uniformAt(randomKey(recipe.seed, 'explore', iteration, pair.promptId), 0),
  }));
  drawn.sort((a, b) => a.order - b.order);
  return drawn.slice(0, recipe.evaluate.explorationPrompts).map(({ pair }) => pair);
}

/** The trees of pairs, with y in every one, also where training had no term for it. */
function treesOf(
  context: IterationContext,
  pairs: readonly StoredPair[],
  input: { rows: readonly PreferenceRow[]; objective: ObjectiveOptions },
): PairTree[] {
  const rows = new Map(input.rows.map((row) => [row.promptId, row]));
  const { preference } = input.objective;
  const objective: ObjectiveOptions = { preference, exploration: { kind: 'selm', alpha: 1 } };
  return tokenisePairs(context, pairs, { rows, objective }).trees;
}

/** Tokens that went through the model in the iteration's training. */
function trainedTokens({ ledger, iteration }: IterationContext): number {
  return ledger
    .metrics()
    .filter((each) => each.iteration === iteration && each.stage === 'train')
    .reduce((sum, { values }) => sum + (values.tokens ?? 0), 0);
}

/** Scores of the new policy, by all ranks. */
async function scoreAll(
  context: IterationContext,
  {
    modelDirectory,
    trees,
    advance,
  }: { modelDirectory: string; trees: readonly PairTree[]; advance: (pairs: number) => void },
): Promise<Map<string, TreeLogProbs>> {
  const { recipe, signal } = context;
  const { dtype, adapter } = recipe.training;
  const frozen = adapter.kind === 'lora' ? 'in-place' : 'copied';
  const scores = new Map<string, TreeLogProbs>();
  for await (const batch of scoreTogether(context, [trees], { modelDirectory, dtype, frozen })) {
    for (const [pairId, logProbs] of batch) scores.set(pairId, logProbs);
    advance(batch.size);
    signal?.throwIfAborted();
  }
  return scores;
}

/** Norms of both terms' gradients and of their sum: the sum is added up from the two, without a backward pass of its own. */
async function measureGradients(
  { recipe, signal }: IterationContext,
  policy: Policy,
  {
    trees,
    advance,
    ...loss
  }: {
    trees: readonly PairTree[];
    reference: ReadonlyMap<string, TreeLogProbs>;
    objective: ObjectiveOptions;
    advance: (pairs: number) => void;
  },
): Promise<GradientNorms> {
  const { training } = recipe;
  const batches = microBatches(trees, training.microBatchTokens, longAfter(policy.config));
  const activations = chooseActivations(training, policy.config, roomOn(policy.device));
  const accumulate = async (terms: LossTerms): Promise<number> => {
    const ending = await untilStopped(stepGradients(policy, { ...loss, batches, activations, terms }), signal);
    if (ending.kind === 'stopped') signal?.throwIfAborted();
    advance(trees.length);
    return gradientNorm(policy);
  };
  const preference = await accumulate('preference');
  if (loss.objective.exploration.kind === 'none')
    return { pairs: trees.length, preference, exploration: 0, total: preference };
  const gradients = [...(policy.gradients ?? new Map<string, Tensor>()).values()];
  const first = outlive(scope('keep a gradient', () => noGrad(() => gradients.map((gradient) => clone(gradient)))));
  try {
    const exploration = await accumulate('exploration');
    scope('add gradients', () => noGrad(() => _foreach_add__List(gradients, first)));
    return { pairs: trees.length, preference, exploration, total: gradientNorm(policy) };
  } finally {
    disposeAll(first);
  }
}
