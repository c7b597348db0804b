/**
 * @file One training step: the gradient of the mean loss over its pairs, and the update. The loss itself is arithmetic
 * on a few numbers (src/objective/); here its derivatives seed the backward pass.
 */
import { TrainingError } from '../errors.ts';
import { longAfter } from '../model/rope.ts';
import {
  logRatios,
  lossAtReference,
  type ObjectiveOptions,
  type PairObjective,
  pairObjective,
  type SequenceLogProbs,
} from '../objective/objective.ts';
import { type BatchBaseline, ktoBaseline, NO_BASELINE, needsBaseline } from '../objective/preference.ts';
import { headForwardBackward } from '../score/head.ts';
import type { PackedTrees, ScoredRange } from '../score/packing.ts';
import { clearGradients, type Policy } from '../score/policy.ts';
import type { Activations } from '../score/stream.ts';
import { type PairTree, scoredTokens, type TreeLogProbs, treeTokens } from '../score/trees.ts';
import type { OptimiserState } from './optimiser.ts';
import { backwardPasses, scoringPasses } from './passes.ts';
import type { Pausing } from './pausing.ts';
import { type SharedStep, sumGradients, sumNumbers } from './share.ts';
import { optimiserStep, type UpdateSettings } from './update.ts';

/** What a step found out about one pair. */
export interface PairResult {
  pairId: string;
  policy: SequenceLogProbs;
  reference: SequenceLogProbs;
  objective: PairObjective;
  /** What the loss is where the policy equals the reference: the first step of an iteration must meet it. */
  lossAtReference: number;
}

export interface StepResult {
  pairs: PairResult[];
  /** Mean loss over the step's pairs, before the update. */
  loss: number;
  gradientNorm: number;
  /** Tokens that went through the model. */
  tokens: number;
}

/** Log-probabilities of the pair's sequences, from those of its tree's continuations. */
export function sequenceLogProbs(tree: PairTree, logProbs: TreeLogProbs): SequenceLogProbs {
  const at = (index: number): number => logProbs[index] ?? Number.NaN;
  return {
    chosen: at(tree.chosen),
    rejected: at(tree.rejected),
    response: tree.response === null ? null : at(tree.response),
  };
}

function lengthsOf(tree: PairTree): { chosen: number; rejected: number; response: number | null } {
  const at = (index: number): number => scoredTokens(tree, index);
  return {
    chosen: at(tree.chosen),
    rejected: at(tree.rejected),
    response: tree.response === null ? null : at(tree.response),
  };
}

function evaluatePair(
  tree: PairTree,
  { policy, reference }: { policy: SequenceLogProbs; reference: SequenceLogProbs },
  { options, baseline }: { options: ObjectiveOptions; baseline: BatchBaseline },
): PairResult {
  const input = {
    policy,
    reference,
    lengths: lengthsOf(tree),
    winProbabilities: tree.winProbabilities,
    label: tree.label,
  };
  try {
    return {
      pairId: tree.pairId,
      policy,
      reference,
      objective: pairObjective(input, options, baseline),
      lossAtReference: lossAtReference(input, options),
    };
  } catch (cause) {
    if (!(cause instanceof TrainingError)) throw cause;
    throw new TrainingError(cause.code, `${cause.message} (pair ${tree.pairId}); no weight was changed`, {
      cause,
      details: { ...cause.details, pairIds: [tree.pairId] },
    });
  }
}

/** Derivative of the loss by every continuation of a tree: sequences that are one continuation add up. */
function treeDerivatives(
  tree: PairTree,
  { gradient }: PairObjective,
  { weight, terms }: { weight: number; terms: LossTerms },
): number[] {
  const derivatives = tree.continuations.map(() => 0);
  const add = (index: number | null, value: number): void => {
    if (index !== null) derivatives[index] = (derivatives[index] ?? 0) + value * weight;
  };
  if (terms !== 'exploration') {
    add(tree.chosen, gradient.chosen);
    add(tree.rejected, gradient.rejected);
  }
  if (terms !== 'preference') add(tree.response, gradient.response);
  return derivatives;
}

/** Which terms of the loss a gradient is of: training takes all, a measurement one at a time. */
export type LossTerms = 'all' | 'preference' | 'exploration';

export interface StepInput {
  /** Micro-batches of the step's trees: of this rank's share, where ranks share the step. */
  batches: readonly PackedTrees[];
  /** The ranks that share the step, and all its trees. @default this process alone */
  shared?: SharedStep & { trees: readonly PairTree[] };
  /** The reference's log-probabilities by pair. */
  reference: ReadonlyMap<string, TreeLogProbs>;
  objective: ObjectiveOptions;
  activations: Activations;
  /** @default 'all' */
  terms?: LossTerms;
}

/** Numbers of the whole step that each pair's share of the loss needs, wherever and in whatever parts it is computed. */
export interface StepTotals {
  /** Pairs of the step: the loss is the mean over them. */
  pairs: number;
  baseline: BatchBaseline;
}

/** All trees of a step, whoever computes them. */
function treesOf({ batches, shared }: StepInput): readonly PairTree[] {
  return shared?.trees ?? batches.flatMap(({ trees }) => trees);
}

/**
 * The totals of a step, over all its micro-batches: where the objective asks for a baseline, by a forward pass before the
 * first backward one. So the result does not depend on how the step was cut.
 */
export function* totalsOf(policy: Policy, input: StepInput): Pausing<StepTotals> {
  const trees = treesOf(input);
  const pairs = trees.length;
  if (!needsBaseline(input.objective.preference)) return { pairs, baseline: NO_BASELINE };
  const own = new Map<string, SequenceLogProbs>();
  const scores = yield* scoringPasses(policy, input);
  for (const tree of input.batches.flatMap((batch) => batch.trees))
    own.set(tree.pairId, sequenceLogProbs(tree, scores.get(tree.pairId) ?? []));
  const all = yield* everyRanksLogProbs(input, 'baseline', own);
  const ratios = trees.map((tree) => logRatios(atReference(tree, all, input.reference)));
  return { pairs, baseline: ktoBaseline(ratios) };
}

/** A pair's log-probabilities under the policy, and under the reference. */
function atReference(
  tree: PairTree,
  policy: ReadonlyMap<string, SequenceLogProbs>,
  reference: StepInput['reference'],
): { policy: SequenceLogProbs; reference: SequenceLogProbs } {
  return {
    policy: policy.get(tree.pairId) ?? sequenceLogProbs(tree, []),
    reference: sequenceLogProbs(tree, reference.get(tree.pairId) ?? []),
  };
}

/** The policy's log-probabilities of all pairs of a step, of which each rank computed its own. */
function* everyRanksLogProbs(
  { shared }: StepInput,
  what: string,
  own: ReadonlyMap<string, SequenceLogProbs>,
): Pausing<ReadonlyMap<string, SequenceLogProbs>> {
  if (shared === undefined) return own;
  const numbers = shared.trees.flatMap(({ pairId }) => {
    const { chosen, rejected, response } = own.get(pairId) ?? { chosen: 0, rejected: 0, response: 0 };
    return [chosen, rejected, response ?? 0];
  });
  const sums = yield* sumNumbers(shared, what, numbers);
  return new Map(
    shared.trees.map(({ pairId, response: y }, index) => {
      const [chosen = Number.NaN, rejected = Number.NaN, response = Number.NaN] = sums.slice(3 * index, 3 * index + 3);
      return [pairId, { chosen, rejected, response: y === null ? null : response }];
    }),
  );
}

/**
 * Adds the gradient of these micro-batches' share of the step's loss to the policy's gradients (which it clears first).
 * Changes no weight.
 */
export function* accumulateGradients(
  policy: Policy,
  input: StepInput,
  totals: StepTotals,
): Pausing<Omit<StepResult, 'gradientNorm'>> {
  const pairs: PairResult[] = [];
  const objective = { options: input.objective, baseline: totals.baseline };
  clearGradients(policy);
  yield* backwardPasses(policy, input, (batch, rows) => {
    const derivatives = (ranges: readonly ScoredRange[], logProbs: readonly number[]): number[] => {
      const result: number[] = [];
      for (let i = 0; i < ranges.length; ) {
        const tree = batch.trees[ranges[i]?.tree ?? -1];
        if (tree === undefined) throw new Error('A scored range without a tree');
        const policyOf = new Map([
          [tree.pairId, sequenceLogProbs(tree, logProbs.slice(i, i + tree.continuations.length))],
        ]);
        const pair = evaluatePair(tree, atReference(tree, policyOf, input.reference), objective);
        pairs.push(pair);
        result.push(
          ...treeDerivatives(tree, pair.objective, { weight: 1 / totals.pairs, terms: input.terms ?? 'all' }),
        );
        i += tree.continuations.length;
      }
      return result;
    };
    return headForwardBackward(policy, batch, { rows, derivatives });
  });
  return {
    pairs,
    loss: pairs.reduce((sum, pair) => sum + pair.objective.loss, 0) / totals.pairs,
    tokens: input.batches.reduce((sum, batch) => sum + batch.ids_T.length, 0),
  };
}

/** The whole gradient of a step: its totals, then every micro-batch's share, then what the other ranks found. */
export function* stepGradients(policy: Policy, input: StepInput): Pausing<Omit<StepResult, 'gradientNorm'>> {
  const totals = yield* totalsOf(policy, input);
  const own = yield* accumulateGradients(policy, input, totals);
  return input.shared === undefined
    ? own
    : yield* addOtherShares(policy, { ...input, shared: input.shared }, totals, own);
}

/** Adds the other ranks' shares. Numbers cross, the arithmetic on them is repeated: every rank has every pair's result. */
function* addOtherShares(
  policy: Policy,
  input: StepInput & { shared: SharedStep & { trees: readonly PairTree[] } },
  totals: StepTotals,
  own: Omit<StepResult, 'gradientNorm'>,
): Pausing<Omit<StepResult, 'gradientNorm'>> {
  const { shared, objective: options, reference } = input;
  const ownLogProbs = new Map(own.pairs.map((pair) => [pair.pairId, pair.policy]));
  const all = yield* everyRanksLogProbs(input, 'log-probabilities', ownLogProbs);
  yield* sumGradients(shared, policy);
  const pairs = shared.trees.map((tree) =>
    evaluatePair(tree, atReference(tree, all, reference), { options, baseline: totals.baseline }),
  );
  const loss = pairs.reduce((sum, pair) => sum + pair.objective.loss, 0) / totals.pairs;
  const long = longAfter(policy.config);
  return { pairs, loss, tokens: shared.trees.reduce((sum, tree) => sum + treeTokens(tree, long), 0) };
}

/**
 * One optimiser step. A loss or gradient that is not finite stops it before the update: TrainingError names the pairs,
 * and the weights are what they were.
 */
export function trainingStep(
  policy: Policy,
  optimiser: OptimiserState,
  options: StepInput & UpdateSettings,
): Pausing<StepResult> {
  return optimiserStep(policy, optimiser, {
    gradients: stepGradients(policy, options),
    items: { what: 'pairs', ids: treesOf(options).map(({ pairId }) => pairId) },
    settings: options,
  });
}
