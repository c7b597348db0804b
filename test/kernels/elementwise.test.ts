/**
 * @file Gated activations, soft caps and log-probabilities of targets against the same thing said in LibTorch's operators: values and gradients; and
 * the composition that a device without kernels takes.
 */
import { describe, expect, it } from 'vitest';
import { backward, gradientOf, noGrad, requireGrad } from '../../src/torch/autograd.ts';
import {
  gather,
  geglu,
  gelu,
  log_softmax_int,
  logProbGradient_,
  mul_Scalar,
  mul_Tensor,
  packRows,
  rmsNorm,
  rotary,
  rowLinear,
  silu,
  softCap_,
  squeeze_dim,
  sum,
  swiglu,
  targetLogProbs,
  to_device,
  to_dtype,
  unsqueeze,
} from '../../src/torch/ops.ts';
import { float32, int64, scope, type Tensor, tensorFrom } from '../../src/torch/tensor.ts';
import { capped, expectNear, normals, numbers, valueAndGradients } from './support.ts';

describe('gated activations', () => {
  // 37 is no multiple of a vector's length; a scale of 3 reaches both flat ends.
  it.each([
    ['swiglu', swiglu, (gate: Tensor) => silu(gate)],
    ['geglu', geglu, (gate: Tensor) => gelu(gate, { approximate: 'tanh' })],
  ] as const)('%s is its activation times the other half', (_, kernel, activation) => {
    scope('gate', () => {
      const inputs = [normals('gate', [3, 37], 3), normals('up', [3, 37])];
      const own = valueAndGradients(inputs, (gate, up) => kernel(gate, up));
      const plain = valueAndGradients(inputs, (gate, up) => mul_Tensor(activation(gate), up));
      own.forEach((values, i) => void expectNear(values, plain[i] ?? [], 2e-6));
    });
  });

  it('geglu stays finite far out', () => {
    scope('gate', () => {
      const gate = float32([-1e4, -50, -10, 0, 10, 50, 1e4]);
      expectNear(numbers(geglu(gate, float32(Array(7).fill(1)))), [0, 0, 0, 0, 10, 50, 1e4], 1e-6);
    });
  });
});

describe('soft caps', () => {
  it('softCap_() is cap * tanh(x / cap), close to zero and far out', () => {
    scope('cap', () => {
      const x = [...Array.from({ length: 81 }, (_, i) => (i - 40) / 4), 1e-6, -1e-6, 200, -1e9];
      const expected = x.map((value) => 5 * Math.tanh(value / 5));
      const values = numbers(softCap_(float32(x), 5));
      expectNear(values, expected, 5e-7);
      // Small numbers keep their relative precision.
      expect(Math.abs((values[81] ?? 0) / 1e-6 - 1)).toBeLessThan(1e-6);
    });
  });

  it.each(['float32', 'float64'] as const)('logProbGradient_() goes through the cap in %s', (dtype) => {
    scope('head', () => {
      const [rows, width, cap] = [4, 21, 3];
      const logits = to_dtype(normals('logits', [rows, width], 4), dtype);
      const targets = int64([0, 20, 7, 16]);
      const factors = float32([1, -2, 0.5, 0.25]);
      const leaf = requireGrad(noGrad(() => mul_Scalar(logits, 1)));
      const chosen = squeeze_dim(gather(log_softmax_int(capped(leaf, cap), -1), 1, unsqueeze(targets, 1)), 1);
      const one = noGrad(() => to_dtype(tensorFrom(Float32Array.of(1), [], 'float32'), dtype));
      backward([sum(mul_Tensor(chosen, to_dtype(factors, dtype)))], [one]);
      noGrad(() => {
        const own = softCap_(logits, cap);
        const [logProbs, normalisers] = targetLogProbs(own, targets);
        expectNear(numbers(logProbs), numbers(chosen), 2e-6);
        const gradient = logProbGradient_(own, targets, normalisers, factors, { softCap: cap });
        expectNear(numbers(gradient), numbers(gradientOf(leaf) ?? gradient), 2e-6);
      });
    });
  });
});

describe('a device without kernels', () => {
  it('computes the same operators by those of LibTorch', () => {
    scope('meta', () => {
      const on = (...shape: number[]): Tensor => noGrad(() => to_device(normals('x', shape), 'meta', 'float32'));
      const weights = packRows([on(40, 8)]);
      for (const [found, shape] of [
        [rmsNorm(on(5, 8), on(8), 1e-5), [5, 8]],
        [rotary(on(5, 2, 8), on(5, 4), on(5, 4)), [5, 2, 8]],
        [swiglu(on(5, 8), on(5, 8)), [5, 8]],
        [rowLinear(on(5, 8), weights, 40), [5, 40]],
      ] as const) {
        expect(found.device).toBe('meta');
        expect(found.shape).toEqual(shape);
      }
    });
  });
});
