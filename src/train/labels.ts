/**
 * @file Training on labels: responses that were each called good or bad. The same packed streams, head, optimiser and
 * checkpoints as all training; the loss is src/objective/labels.ts.
 */
import { TrainingError } from '../errors.ts';
import { longAfter } from '../model/rope.ts';
import { type LabelLoss, labelDivergence, labelLossAtReference, labelTerm } from '../objective/labels.ts';
import { headForwardBackward } from '../score/head.ts';
import { microBatches } from '../score/packing.ts';
import { clearGradients, type Policy } from '../score/policy.ts';
import type { Activations } from '../score/stream.ts';
import { type TokenIds, type TokenTree, type TreeLogProbs, treeTokens } from '../score/trees.ts';
import { ALONE, type Group } from '../torch/group.ts';
import type { OptimiserState } from './optimiser.ts';
import { backwardPasses, scoringPasses } from './passes.ts';
import type { Pausing } from './pausing.ts';
import { type Optimisation, runSteps, type StepsInput, type TakenStep } from './run-steps.ts';
import { cutStep, shareOf, sumGradients, sumNumbers } from './share.ts';
import { optimiserStep, type UpdateSettings } from './update.ts';

/** A prompt with one response and its label. */
export interface ResponseTree extends TokenTree {
  desirable: boolean;
}

/** The same in its step: `mismatched` is its prompt with the response of another prompt of the step. */
export interface LabelledTree extends ResponseTree {
  mismatched: TokenTree | null;
}

/**
 * The trees of one step, each with a response that belongs to another prompt: that of the tree before it, as TRL rotates
 * them, or of one further back where the prompts are equal. A step of one prompt has none.
 *
 * @param name of the step, unique in its run
 * @param maxLength tokens of prompt and response together
 */
export function mismatch(
  trees: readonly ResponseTree[],
  { name, maxLength }: { name: string; maxLength: number },
): LabelledTree[] {
  return trees.map((tree, index) => {
    const other = trees
      .map((_, back) => trees[(index - 1 - back + trees.length) % trees.length])
      .find((each) => each !== undefined && !sameIds(each.promptIds, tree.promptIds));
    const ids = other?.continuations[0]?.subarray(0, maxLength - tree.promptIds.length);
    return {
      ...tree,
      mismatched:
        ids === undefined || ids.length === 0
          ? null
          : { pairId: `${name}/${tree.pairId}`, promptIds: tree.promptIds, continuations: [ids] },
    };
  });
}

function sameIds(a: TokenIds, b: TokenIds): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}

/** What the reference has to score before training: every step's responses, then its mismatched ones, step by step. */
export function referenceSteps(
  steps: readonly (readonly LabelledTree[])[],
  { baseline }: Pick<LabelLoss, 'baseline'>,
): TokenTree[][] {
  return steps.flatMap((trees) => (baseline === 'none' ? [[...trees]] : [[...trees], mismatchedOf(trees)]));
}

function mismatchedOf(trees: readonly LabelledTree[]): TokenTree[] {
  return trees.flatMap(({ mismatched }) => mismatched ?? []);
}

export interface LabelStepInput {
  /** All trees of the step. */
  trees: readonly LabelledTree[];
  /** The reference's log-probabilities by `pairId`. */
  reference: ReadonlyMap<string, TreeLogProbs>;
  objective: LabelLoss;
  activations: Activations;
  microBatchTokens: number;
  /** The ranks that share the step, and what it is called in their errors. @default this process alone */
  group?: Group;
  name: string;
}

/** Means over the responses of one kind; null in a step that has none. */
export interface KindResult {
  reward: number;
  logProb: number;
}

export interface LabelStepResult {
  /** Mean loss over the step's responses, before the update. */
  loss: number;
  /** KTO's reference point. */
  divergence: number;
  chosen: KindResult | null;
  rejected: KindResult | null;
  /** Tokens of the responses and their prompts that went through the model. */
  tokens: number;
}

/** Sums over responses, which ranks add up. */
const SUMS = ['loss', 'chosenReward', 'chosenLogProb', 'rejectedReward', 'rejectedLogProb'] as const;

/** The gradient of a step's mean loss, whatever its micro-batches and ranks. Changes no weight. */
export function* labelStepGradients(policy: Policy, input: LabelStepInput): Pausing<LabelStepResult> {
  const { trees, reference, objective, activations, microBatchTokens, name, group = ALONE } = input;
  const long = longAfter(policy.config);
  const divergence = yield* divergenceOf(policy, input);
  const sums = { loss: 0, chosenReward: 0, chosenLogProb: 0, rejectedReward: 0, rejectedLogProb: 0 };
  clearGradients(policy);
  const batches = microBatches(shareOf(trees, group, long), microBatchTokens, long);
  const shared = cutStep(trees, { group, name, microBatchTokens, long });
  yield* backwardPasses(policy, { batches, shared, activations }, (batch, rows) => {
    // Every tree has one response, so that a range is a tree.
    const derivatives = (_: readonly unknown[], logProbs: readonly number[]): number[] =>
      batch.trees.map((tree, i) => {
        const logProb = logProbs[i] ?? Number.NaN;
        const { loss, gradient, reward } = termOf(tree, logProb, { reference, objective, divergence });
        sums.loss += loss;
        sums[tree.desirable ? 'chosenReward' : 'rejectedReward'] += reward;
        sums[tree.desirable ? 'chosenLogProb' : 'rejectedLogProb'] += logProb;
        return gradient / trees.length;
      });
    return headForwardBackward(policy, batch, { rows, derivatives });
  });
  const all = yield* sumNumbers(
    { group, name },
    'losses',
    SUMS.map((key) => sums[key]),
  );
  yield* sumGradients({ group, name }, policy);
  const [loss = 0, chosenReward = 0, chosenLogProb = 0, rejectedReward = 0, rejectedLogProb = 0] = all;
  const good = trees.filter(({ desirable }) => desirable).length;
  const bad = trees.length - good;
  return {
    loss: loss / trees.length,
    divergence,
    chosen: good === 0 ? null : { reward: chosenReward / good, logProb: chosenLogProb / good },
    rejected: bad === 0 ? null : { reward: rejectedReward / bad, logProb: rejectedLogProb / bad },
    tokens: trees.reduce((sum, tree) => sum + treeTokens(tree, long), 0),
  };
}

function termOf(
  { pairId, desirable }: LabelledTree,
  logProb: number,
  { reference, objective, divergence }: Pick<LabelStepInput, 'reference' | 'objective'> & { divergence: number },
): ReturnType<typeof labelTerm> {
  try {
    const input = { policy: logProb, reference: reference.get(pairId)?.[0] ?? Number.NaN, desirable };
    return labelTerm(input, objective, divergence);
  } catch (cause) {
    if (!(cause instanceof TrainingError)) throw cause;
    throw new TrainingError(cause.code, `${cause.message} (row ${pairId}); no weight was changed`, {
      cause,
      details: { ...cause.details, pairIds: [pairId] },
    });
  }
}

/** The reference point, by a forward pass over the mismatched responses before the first backward one. */
function* divergenceOf(policy: Policy, input: LabelStepInput): Pausing<number> {
  const { trees, reference, objective, microBatchTokens, name, group = ALONE } = input;
  if (objective.baseline === 'none') return 0;
  const long = longAfter(policy.config);
  const mismatched = mismatchedOf(trees);
  let sum = 0;
  const batches = microBatches(shareOf(mismatched, group, long), microBatchTokens, long);
  const scores = yield* scoringPasses(policy, {
    batches,
    shared: cutStep(mismatched, { group, name: `the divergence of ${name}`, microBatchTokens, long }),
  });
  for (const [pairId, [logProb = Number.NaN]] of scores) sum += logProb - (reference.get(pairId)?.[0] ?? Number.NaN);
  const [total = Number.NaN] = yield* sumNumbers({ group, name }, 'divergence', [sum]);
  return labelDivergence({ sum: total, count: mismatched.length });
}

/** One optimiser step. Not finite: TrainingError names the rows, and the weights are what they were. */
export function labelStep(
  policy: Policy,
  optimiser: OptimiserState,
  options: LabelStepInput & UpdateSettings,
): Pausing<LabelStepResult & { gradientNorm: number }> {
  return optimiserStep(policy, optimiser, {
    gradients: labelStepGradients(policy, options),
    items: { what: 'responses', ids: options.trees.map(({ pairId }) => pairId) },
    settings: options,
  });
}

/** Ranks cut a step into other batches, whose sums round otherwise. */
const FIRST_LOSS_TOLERANCE = 1e-5;

/** Trains on all steps; gives out each step's metrics, under TRL's names, once its update is made. */
export function trainLabels(
  input: StepsInput<LabelledTree> & Pick<LabelStepInput, 'reference'> & { startsAtReference: boolean },
  settings: Optimisation & Pick<LabelStepInput, 'objective'>,
): AsyncGenerator<TakenStep> {
  const { policy, optimiser, reference, startsAtReference, group = ALONE } = input;
  return runSteps(input, settings, function* (trees, { step, learningRate }) {
    const name = `step ${step + 1}`;
    const result = yield* labelStep(policy, optimiser, { ...settings, trees, reference, group, name, learningRate });
    if (step === 0 && startsAtReference) checkFirstLoss(result, trees, settings.objective);
    const { chosen, rejected } = result;
    return {
      loss: result.loss,
      grad_norm: result.gradientNorm,
      ...(settings.objective.baseline === 'none' ? {} : { kl: result.divergence }),
      ...(chosen === null ? {} : { 'rewards/chosen': chosen.reward, 'logps/chosen': chosen.logProb }),
      ...(rejected === null ? {} : { 'rewards/rejected': rejected.reward, 'logps/rejected': rejected.logProb }),
      ...(chosen === null || rejected === null ? {} : { 'rewards/margins': chosen.reward - rejected.reward }),
      responses: trees.length,
      desirable: trees.filter(({ desirable }) => desirable).length,
      tokens: result.tokens,
    };
  });
}

/** The policy starts as its own reference, so that the first loss is known: half the weights. */
function checkFirstLoss({ loss }: LabelStepResult, trees: readonly LabelledTree[], objective: LabelLoss): void {
  const expected =
    trees.reduce((sum, { desirable }) => sum + labelLossAtReference(desirable, objective), 0) / trees.length;
  if (Math.abs(loss - expected) <= FIRST_LOSS_TOLERANCE * Math.max(1, expected)) return;
  throw new TrainingError(
    'FIRST_LOSS_WRONG',
    `Cannot train: the first loss is ${loss}, but a policy that equals its reference has ${expected}: the reference's log-probabilities do not belong to these weights or tokens; delete them and resume`,
    { details: { loss, expected } },
  );
}
