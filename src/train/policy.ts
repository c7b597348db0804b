/**
 * @file The policy in training: fp32 master weights, the copies that products are computed with, and gradients. In bf16
 * the copies are refreshed after each update; updates of 5e-7 would vanish if the weights themselves were bf16.
 */
import type { ModelConfig } from '../model/config.ts';
import type { Model } from '../model/load.ts';
import { noGrad, requireGrad, setGradient } from '../torch/autograd.ts';
import { clone, copy_, to_dtype, zero_, zeros_like } from '../torch/ops.ts';
import { disposeAll, keep, scope, type Tensor } from '../torch/tensor.ts';

/** Type that products are computed in. */
export type ComputeDtype = 'float32' | 'bfloat16';

export interface Policy {
  config: ModelConfig;
  dtype: ComputeDtype;
  /** fp32, by Hugging Face's names. */
  masters: ReadonlyMap<string, Tensor>;
  /** The same weights in `dtype`: the masters themselves in fp32. */
  compute: ReadonlyMap<string, Tensor>;
  /** fp32 gradients of the masters; null for a policy that only scores. */
  gradients: ReadonlyMap<string, Tensor> | null;
  dispose(): void;
}

/** Copies a model's weights into a policy: to be trained, or only to score sequences. */
export function openPolicy(
  model: Pick<Model, 'config' | 'weights'>,
  options: { dtype: ComputeDtype; purpose: 'train' | 'score' },
): Policy {
  const { dtype, purpose } = options;
  const build = (): Omit<Policy, 'dispose'> => {
    const masters = new Map([...model.weights].map(([name, weight]) => [name, clone(to_dtype(weight, 'float32'))]));
    const gradients =
      purpose === 'train' ? new Map([...masters].map(([name, master]) => [name, zeros_like(master)])) : null;
    for (const [name, gradient] of gradients ?? []) {
      const master = masters.get(name);
      if (master !== undefined) setGradient(requireGrad(master), gradient);
    }
    const compute =
      dtype === 'float32'
        ? masters
        : new Map([...masters].map(([name, master]) => [name, noGrad(() => to_dtype(master, dtype))]));
    return { config: model.config, dtype, masters, compute, gradients };
  };
  const built = keep(scope('open a policy', build));
  return { ...built, dispose: () => disposeAll([built.masters, built.compute, built.gradients]) };
}

/** Sets all gradients to zero. */
export function clearGradients(policy: Policy): void {
  scope('clear gradients', () => noGrad(() => policy.gradients?.forEach((gradient) => void zero_(gradient))));
}

/** Brings the computing copies up to date with the masters after an update. */
export function refreshCompute(policy: Policy): void {
  if (policy.dtype === 'float32') return;
  scope('refresh weights', () =>
    noGrad(() => {
      for (const [name, master] of policy.masters) copy_(weightOf(policy.compute, name), master);
    }),
  );
}

/** A weight by name; its absence is a mistake of this package. */
export function weightOf(weights: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const weight = weights.get(name);
  if (weight === undefined) throw new Error(`No weight ${name}`);
  return weight;
}
