/** @file What tests of operators share: random inputs, a function's values and gradients, and how near two results are. */
import { expect } from 'vitest';
import { normalAt, randomKey } from '../../src/random.ts';
import { backward, gradientOf, noGrad, requireGrad } from '../../src/torch/autograd.ts';
import { mul_Scalar, tanh, to_dtype } from '../../src/torch/ops.ts';
import { type Tensor, tensorFrom, toFloat32Array } from '../../src/torch/tensor.ts';
import { isOnCpu } from '../support/device.ts';

/** Whether operators run in native/kernels/cpu: not on a device, nor where a test leaves them out. */
export const hasOwnKernels = process.env.SELM_KERNELS !== 'composed' && isOnCpu;

export function normals(name: string, shape: readonly number[], scale = 1): Tensor {
  const key = randomKey(11, name);
  const count = shape.reduce((product, length) => product * length, 1);
  const values = Float32Array.from({ length: count }, (_, i) => scale * normalAt(key, i));
  return tensorFrom(values, shape, 'float32');
}

export const numbers = (x: Tensor): Float32Array => toFloat32Array(noGrad(() => to_dtype(x, 'float32')));

export function expectNear(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  const worst = Array.from(expected).reduce((most, value, i) => {
    const difference = Math.abs(value - (actual[i] ?? Number.NaN)) / Math.max(1, Math.abs(value));
    return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(most, difference);
  }, 0);
  expect(worst).toBeLessThan(tolerance);
}

/** Values of `f` and its gradients by the inputs, for a fixed random direction of the output. */
export function valueAndGradients(inputs: readonly Tensor[], f: (...inputs: Tensor[]) => Tensor): Float32Array[] {
  const leaves = inputs.map((input) => requireGrad(noGrad(() => mul_Scalar(input, 1))));
  const out = f(...leaves);
  backward([out], [noGrad(() => to_dtype(normals('direction', out.shape), out.dtype))]);
  return [out, ...leaves.map((leaf) => gradientOf(leaf) ?? out)].map(numbers);
}

export const capped = (x: Tensor, cap: number): Tensor => (cap > 0 ? mul_Scalar(tanh(mul_Scalar(x, 1 / cap)), cap) : x);

/** Cosine of the angle between two lists of numbers. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const dot = (x: ArrayLike<number>, y: ArrayLike<number>): number =>
    Array.from(x).reduce((sum, value, i) => sum + value * (y[i] ?? Number.NaN), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
