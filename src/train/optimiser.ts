/** @file AdamW on the policy's masters (LibTorch's fused kernel), gradient norm and clipping. */

import { weightOf } from '../model/weights.ts';
import type { Policy } from '../score/policy.ts';
import { noGrad } from '../torch/autograd.ts';
import {
  _foreach_mul__Scalar,
  _foreach_norm_Scalar,
  _fused_adamw_,
  stack,
  to_dtype,
  zeros_like,
} from '../torch/ops.ts';
import { disposeAll, float32, outlive, scope, type Tensor, toFloat64Array } from '../torch/tensor.ts';

export interface AdamWSettings {
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Decoupled weight decay of matrices. */
  weightDecay: number;
}

/** First and second moments by weight name, and how many updates were made. */
export interface OptimiserState {
  firstMoments: ReadonlyMap<string, Tensor>;
  secondMoments: ReadonlyMap<string, Tensor>;
  updates: number;
  dispose(): void;
  [Symbol.dispose](): void;
}

/** A fresh state: moments zero. */
export function openOptimiser(policy: Policy): OptimiserState {
  const zeros = (): Map<string, Tensor> =>
    new Map([...policy.masters].map(([name, master]) => [name, noGrad(() => zeros_like(master))]));
  const moments = outlive(scope('open an optimiser', () => ({ firstMoments: zeros(), secondMoments: zeros() })));
  const dispose = (): void => disposeAll(moments);
  return { ...moments, updates: 0, dispose, [Symbol.dispose]: dispose };
}

/** What a step of the optimiser changes: masters and their gradients, by name; this rank's slices where ranks share them. */
interface Trained {
  masters: ReadonlyMap<string, Tensor>;
  gradients: ReadonlyMap<string, Tensor>;
  /** Names of the matrices, which decay. */
  matrices: ReadonlySet<string>;
}

function trainedOf({ masters, gradients, shards }: Policy): Trained {
  if (shards !== null) {
    const flats = shards.flats.flatMap(({ layout, gradient }) => (gradient === null ? [] : [{ layout, gradient }]));
    return {
      masters,
      gradients: new Map(flats.map(({ layout, gradient }) => [layout.name, gradient])),
      matrices: new Set(flats.flatMap(({ layout }) => (layout.kind === 'matrices' ? [layout.name] : []))),
    };
  }
  const matrices = [...masters].flatMap(([name, { shape }]) => (shape.length > 1 ? [name] : []));
  return { masters, gradients: gradients ?? new Map(), matrices: new Set(matrices) };
}

/** Euclidean norm of all gradients together; of this rank's slices where ranks share them. */
export function gradientNorm(policy: Policy): number {
  return normOf([...trainedOf(policy).gradients.values()]);
}

/** Euclidean norm of tensors together, summed in float64; not finite where a number of one is not. */
export function normOf(tensors: readonly Tensor[]): number {
  return scope('norm', () =>
    noGrad(() => {
      const values = toFloat64Array(to_dtype(stack(_foreach_norm_Scalar(tensors)), 'float64'));
      return Math.sqrt(values.reduce((sum, norm) => sum + norm * norm, 0));
    }),
  );
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
  const { masters, gradients, matrices: decaying } = trainedOf(policy);
  const { learningRate, beta1, beta2, epsilon } = options;
  const update = (names: readonly string[], { steps, weightDecay }: { steps: Tensor[]; weightDecay: number }): void => {
    if (names.length === 0) return;
    const pick = (weights: ReadonlyMap<string, Tensor>): Tensor[] => names.map((name) => weightOf(weights, name));
    const moments = [pick(state.firstMoments), pick(state.secondMoments)] as const;
    _fused_adamw_(
      pick(masters),
      pick(gradients),
      ...moments,
      [],
      steps,
      learningRate,
      beta1,
      beta2,
      weightDecay,
      epsilon,
      false,
      false,
    );
  };
  scope('AdamW', () =>
    noGrad(() => {
      const names = [...masters.keys()];
      const matrices = names.filter((name) => decaying.has(name));
      const others = names.filter((name) => !decaying.has(name));
      // All memory is asked for before the first weight changes: without it, the step has not happened.
      const stepsOf = (group: readonly string[]): Tensor[] =>
        group.map((name) => float32([state.updates + 1], { shape: [], device: weightOf(masters, name).device }));
      const [matrixSteps, otherSteps] = [stepsOf(matrices), stepsOf(others)];
      update(matrices, { steps: matrixSteps, weightDecay: options.weightDecay });
      update(others, { steps: otherSteps, weightDecay: 0 });
    }),
  );
  state.updates += 1;
}
