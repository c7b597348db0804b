/**
 * @file A step that several ranks make together: who computes which of its trees, and how what they find comes together.
 * The mean is over all pairs of the step, so that its loss and gradient do not depend on the number of ranks.
 */
import { microBatchTrees } from '../score/packing.ts';
import type { Policy } from '../score/policy.ts';
import { type TokenTree, treeTokens } from '../score/trees.ts';
import { reduceResident } from '../shard/shards.ts';
import { noGrad } from '../torch/autograd.ts';
import type { Group } from '../torch/group.ts';
import { copy_, to_dtype } from '../torch/ops.ts';
import { outlive, scope, type Tensor, tensorFrom, toFloat64Array } from '../torch/tensor.ts';
import type { Pausing } from './pausing.ts';

/** The ranks that make a step, and what the step is called in their errors. */
export interface SharedStep {
  group: Group;
  /** `step 12`. */
  name: string;
  /** Most micro-batches that a rank has: where blocks are gathered, all make as many passes. */
  passes: number;
}

/**
 * The trees that a rank computes: the longest first, each to the rank that has the fewest tokens so far. The same for every
 * order of the trees; a rank may get none.
 */
export function shareOf<Tree extends TokenTree>(
  trees: readonly Tree[],
  { rank, size }: Pick<Group, 'rank' | 'size'>,
  longAfter = Number.POSITIVE_INFINITY,
): readonly Tree[] {
  if (size === 1) return trees;
  const sized = trees.map((tree) => ({ tree, tokens: treeTokens(tree, longAfter) }));
  sized.sort((a, b) => b.tokens - a.tokens || (a.tree.pairId < b.tree.pairId ? -1 : 1));
  const loads = Array.from({ length: size }, () => 0);
  return sized.flatMap(({ tree, tokens }) => {
    const least = loads.indexOf(Math.min(...loads));
    loads[least] = (loads[least] ?? 0) + tokens;
    return least === rank ? [tree] : [];
  });
}

/** Sums numbers over the ranks. Where all but one rank give 0, every rank has that one's number to the bit. */
export function* sumNumbers(
  { group, name }: Pick<SharedStep, 'group' | 'name'>,
  what: string,
  numbers: readonly number[],
): Pausing<number[]> {
  if (group.size === 1) return [...numbers];
  const sums = outlive(tensorFrom(Float64Array.from(numbers), [numbers.length], 'float64'));
  try {
    yield group.sum(`${what} of ${name}`, [sums]);
    return Array.from(toFloat64Array(sums));
  } finally {
    sums.dispose();
  }
}

/** How a step is cut. */
interface StepCut {
  group: Group;
  /** `step 12`. */
  name: string;
  microBatchTokens: number;
  long: number;
}

/** A step as its ranks share it. */
export function cutStep<Tree extends TokenTree>(
  trees: readonly Tree[],
  { group, name, microBatchTokens, long }: StepCut,
): SharedStep & { trees: readonly Tree[] } {
  const { size } = group;
  const passes = Array.from(
    { length: size },
    (_, rank) => microBatchTrees(shareOf(trees, { rank, size }, long), microBatchTokens, long).length,
  );
  return { group, name, passes: Math.max(...passes), trees };
}

/** The same; nothing of a step of one process. */
export function sharedStep<Tree extends TokenTree>(
  trees: readonly Tree[],
  cut: StepCut,
): { shared?: SharedStep & { trees: readonly Tree[] } } {
  return cut.group.size === 1 ? {} : { shared: cutStep(trees, cut) };
}

/** Sums the gradients over the ranks; those of gathered blocks are summed already, in each pass. */
export function* sumGradients({ group, name }: Pick<SharedStep, 'group' | 'name'>, policy: Policy): Pausing<void> {
  if (policy.shards !== null) yield reduceResident(policy.shards, name);
  else if (group.size > 1 && policy.gradients !== null) {
    const gradients = [...policy.gradients];
    yield group.sum(
      `gradients of ${name}`,
      gradients.flatMap(([, gradient]) => (gradient.dtype === 'float32' ? [gradient] : [])),
    );
    for (const [weight, gradient] of gradients.filter(([, { dtype }]) => dtype !== 'float32'))
      yield* sumWide(group, `gradient of ${weight} in ${name}`, gradient);
  }
}

/** Sums bf16 numbers over the ranks in fp32, and rounds once. */
function* sumWide(group: Group, name: string, tensor: Tensor): Pausing<void> {
  const wide = outlive(scope('widen', () => noGrad(() => to_dtype(tensor, 'float32'))));
  try {
    yield group.sum(name, [wide]);
    scope('narrow', () => noGrad(() => void copy_(tensor, wide)));
  } finally {
    wide.dispose();
  }
}
