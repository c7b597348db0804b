/**
 * @file AdamW on the policy's masters, gradient norm and clipping. fp32 masters go through LibTorch's fused kernel; bf16 ones
 * through our own, which rounds at random (native/kernels/rounded_adamw.h).
 */

import { weightOf } from '../model/weights.ts';
import { randomKey } from '../random.ts';
import type { Policy } from '../score/policy.ts';
import { noGrad } from '../torch/autograd.ts';
import { _foreach_mul__Scalar, _fused_adamw_, roundedAdamw_, sumOfSquares, zeros_like } from '../torch/ops.ts';
import { disposeAll, float32, outlive, scope, type Tensor, toFloat64Array } from '../torch/tensor.ts';

export interface AdamWSettings {
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Decoupled weight decay of matrices. */
  weightDecay: number;
}

/** Whose updates are rounded where states are bf16: the run's seed, and which of its trainings. The same at every rank. */
export interface RoundingSource {
  seed: number;
  training: readonly (string | number)[];
}

/** First and second moments by weight name, in the types of the masters, and how many updates were made. */
export interface OptimiserState {
  firstMoments: ReadonlyMap<string, Tensor>;
  secondMoments: ReadonlyMap<string, Tensor>;
  updates: number;
  rounding: RoundingSource;
  dispose(): void;
  [Symbol.dispose](): void;
}

/** A fresh state: moments zero. */
export function openOptimiser(policy: Policy, rounding: RoundingSource = { seed: 0, training: [] }): OptimiserState {
  const zeros = (): Map<string, Tensor> =>
    new Map([...policy.masters].map(([name, master]) => [name, noGrad(() => zeros_like(master))]));
  const moments = outlive(scope('open an optimiser', () => ({ firstMoments: zeros(), secondMoments: zeros() })));
  const dispose = (): void => disposeAll(moments);
  return { ...moments, updates: 0, rounding, dispose, [Symbol.dispose]: dispose };
}

/** What a step of the optimiser changes: masters and their gradients, by name; this rank's slices where ranks share them. */
interface Trained {
  masters: ReadonlyMap<string, Tensor>;
  gradients: ReadonlyMap<string, Tensor>;
  /** Names of the matrices, which decay. */
  matrices: ReadonlySet<string>;
  /** Where in its parameter a tensor's first element is: the same random numbers round it on any number of ranks. */
  firstElement: (master: Tensor) => number;
}

function trainedOf({ masters, gradients, shards }: Policy): Trained {
  if (shards !== null) {
    const flats = shards.flats.flatMap(({ layout, gradient }) => (gradient === null ? [] : [{ layout, gradient }]));
    return {
      masters,
      gradients: new Map(flats.map(({ layout, gradient }) => [layout.name, gradient])),
      matrices: new Set(flats.flatMap(({ layout }) => (layout.kind === 'matrices' ? [layout.name] : []))),
      firstElement: ({ size }) => shards.group.rank * size,
    };
  }
  const matrices = [...masters].flatMap(([name, { shape }]) => (shape.length > 1 ? [name] : []));
  return { masters, gradients: gradients ?? new Map(), matrices: new Set(matrices), firstElement: () => 0 };
}

/** Euclidean norm of all gradients together; of this rank's slices where ranks share them. */
export function gradientNorm(policy: Policy): number {
  return normOf([...trainedOf(policy).gradients.values()]);
}

/** Euclidean norm of tensors together, summed in float64; not finite where a number of one is not. */
export function normOf(tensors: readonly Tensor[]): number {
  return scope('norm', () => noGrad(() => Math.sqrt(toFloat64Array(sumOfSquares(tensors))[0] ?? Number.NaN)));
}

/**
 * Scales gradients so that their norm is at most `maxNorm`, as torch.nn.utils.clip_grad_norm_ does (with its 1e-6).
 * Returns the factor.
 */
export function clipGradients(policy: Policy, limits: { norm: number; maxNorm: number }): number {
  const factor = Math.min(1, limits.maxNorm / (limits.norm + 1e-6));
  if (factor < 1) {
    const gradients = [...trainedOf(policy).gradients.values()];
    scope('clip gradients', () => noGrad(() => _foreach_mul__Scalar(gradients, factor)));
  }
  return factor;
}

/**
 * One AdamW update of every master. Weight decay is for matrices: norms and biases are left out of it, as transformers'
 * Trainer (and so TRL) does.
 */
export function updateWeights(
  policy: Policy,
  state: OptimiserState,
  options: AdamWSettings & { learningRate: number },
): void {
  if (policy.gradients === null) throw new Error('A policy that only scores has no gradients');
  const trained = trainedOf(policy);
  const { masters, matrices } = trained;
  const isWide = (name: string): boolean => weightOf(masters, name).dtype === 'float32';
  scope('AdamW', () =>
    noGrad(() => {
      const names = [...masters.keys()];
      const wide = names.filter(isWide);
      // All memory is asked for before the first weight changes: without it, the step has not happened.
      const updates = [
        fusedUpdate(trained, state, {
          ...options,
          names: wide.filter((name) => matrices.has(name)),
        }),
        fusedUpdate(trained, state, {
          ...options,
          names: wide.filter((name) => !matrices.has(name)),
          weightDecay: 0,
        }),
      ];
      for (const update of updates) update();
      for (const name of names.filter((each) => !isWide(each))) roundedUpdate(trained, state, { ...options, name });
    }),
  );
  state.updates += 1;
}

/** Prepares the update of fp32 masters. */
function fusedUpdate(
  { masters, gradients }: Trained,
  state: OptimiserState,
  {
    names,
    learningRate,
    beta1,
    beta2,
    weightDecay,
    epsilon,
  }: AdamWSettings & { learningRate: number; names: readonly string[] },
): () => void {
  const pick = (weights: ReadonlyMap<string, Tensor>): Tensor[] => names.map((name) => weightOf(weights, name));
  const weights = pick(masters);
  const [first] = weights;
  if (first === undefined) return () => {};
  // One number for all of them: it is only read, and one for each would be as many copies to a card.
  const step = float32([state.updates + 1], { shape: [], device: first.device });
  const tensors = [weights, pick(gradients), pick(state.firstMoments), pick(state.secondMoments)] as const;
  return () => {
    const steps = weights.map(() => step);
    _fused_adamw_(...tensors, [], steps, learningRate, beta1, beta2, weightDecay, epsilon, false, false);
  };
}

/** The update of a bf16 master. */
function roundedUpdate(
  { masters, gradients, matrices, firstElement }: Trained,
  { firstMoments, secondMoments, updates, rounding }: OptimiserState,
  options: AdamWSettings & { learningRate: number; name: string },
): void {
  const { name, learningRate, beta1, beta2, epsilon } = options;
  const master = weightOf(masters, name);
  const { key0, key1, stream0, stream1 } = randomKey(rounding.seed, 'round', ...rounding.training, updates + 1, name);
  roundedAdamw_(
    master,
    weightOf(gradients, name),
    weightOf(firstMoments, name),
    weightOf(secondMoments, name),
    updates + 1,
    learningRate,
    beta1,
    beta2,
    matrices.has(name) ? options.weightDecay : 0,
    epsilon,
    [key0, key1, stream0, stream1],
    { firstElement: firstElement(master) },
  );
}
