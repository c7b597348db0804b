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
import { scoreTrees } from '../../score/log-probs.ts';
import { microBatches } from '../../score/packing.ts';
import { openPolicy } from '../../score/policy.ts';
import type { PairTree, TreeLogProbs } from '../../score/trees.ts';
import type { ExplorationMeasure, GradientNorms } from '../../store/exploration.ts';
import type { StoredPair } from '../../store/ledger-rows.ts';
import { chooseActivations } from '../../train/activations.ts';
import { gradientNorm } from '../../train/optimiser.ts';
import { withoutPause } from '../../train/pausing.ts';
import { type LossTerms, stepGradients } from '../../train/step.ts';
import type { IterationContext } from './stage.ts';
import { tokenisePairs } from './tokens.ts';
import { loraStart } from './train-and-save.ts';

/** Most pairs that gradients are computed on: three backward passes each. */
const GRADIENT_PAIRS = 8;

/** Measures the iteration that was just trained. */
export async function measureExploration(
  context: IterationContext,
  input: {
    rows: readonly PreferenceRow[];
    objective: ObjectiveOptions;
    modelDirectory: string;
    referenceDirectory: string;
  },
): Promise<string> {
  const { ledger, iteration, announce } = context;
  const pairs = samplePairs(context);
  announce({
    kind: 'stage-started',
    stage: 'explore',
    total: pairs.length,
    done: 0,
    unit: 'prompts',
  });
  if (pairs.length === 0) return 'no pair has a response to measure';
  const rows = new Map(input.rows.map((row) => [row.promptId, row]));
  // y goes into every tree, also where training had no term for it.
  const { preference } = input.objective;
  const withResponse: ObjectiveOptions = { preference, exploration: { kind: 'selm', alpha: 1 } };
  const { trees } = tokenisePairs(context, pairs, { rows, objective: withResponse });
  if (trees.length === 0) return 'no pair has a response to measure';
  const promptOf = new Map(pairs.map(({ pairId, promptId }) => [pairId, promptId]));
  const reference = score(context, input.referenceDirectory, trees);
  const policy = score(context, input.modelDirectory, trees);
  const responseOf = (scores: ReadonlyMap<string, TreeLogProbs>, tree: PairTree): number =>
    tree.response === null ? Number.NaN : (scores.get(tree.pairId)?.[tree.response] ?? Number.NaN);
  const logRatios = trees.map((tree) => responseOf(policy, tree) - responseOf(reference, tree));
  const gradient = measureGradients(context, input, { trees: trees.slice(0, GRADIENT_PAIRS), reference });
  const measure: ExplorationMeasure = {
    promptIds: trees.map(({ pairId }) => promptOf.get(pairId) ?? pairId),
    logRatios,
    gradient,
  };
  ledger.putRecord(iteration, 'exploration', measure);
  const mean = logRatios.reduce((sum, value) => sum + value, 0) / logRatios.length;
  const strength = gradient.exploration / gradient.preference;
  return `log-ratio of y ${mean.toFixed(3)} nats over ${trees.length} prompts, optimism gradient ${strength.toPrecision(2)} of the preference's`;
}

/** One pair a prompt, of prompts drawn by the seed alone: a twin measures the same ones, where both have a pair. */
function samplePairs({ recipe, ledger, iteration }: IterationContext): StoredPair[] {
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

function score({ recipe }: IterationContext, directory: string, trees: readonly PairTree[]): Map<string, TreeLogProbs> {
  const { dtype, microBatchTokens } = recipe.training;
  using policy = withModel(directory, (model) => openPolicy(model, { dtype, purpose: 'score' }));
  const scores = new Map<string, TreeLogProbs>();
  for (const batch of microBatches(trees, microBatchTokens, longAfter(policy.config))) {
    for (const [pairId, logProbs] of scoreTrees(policy, batch)) scores.set(pairId, logProbs);
  }
  return scores;
}

function measureGradients(
  { recipe }: IterationContext,
  { objective, modelDirectory }: { objective: ObjectiveOptions; modelDirectory: string },
  { trees, reference }: { trees: readonly PairTree[]; reference: ReadonlyMap<string, TreeLogProbs> },
): GradientNorms {
  const { dtype, microBatchTokens } = recipe.training;
  using policy = withModel(modelDirectory, (model) =>
    openPolicy(model, { dtype, purpose: 'train', lora: loraStart(recipe) }),
  );
  const batches = microBatches(trees, microBatchTokens, longAfter(policy.config));
  const activations = chooseActivations(recipe.training, policy.config);
  const normOf = (terms: LossTerms): number => {
    withoutPause(stepGradients(policy, { batches, reference, objective, activations, terms }));
    return gradientNorm(policy);
  };
  const preference = normOf('preference');
  const explores = objective.exploration.kind !== 'none';
  return {
    pairs: trees.length,
    preference,
    exploration: explores ? normOf('exploration') : 0,
    total: explores ? normOf('all') : preference,
  };
}
