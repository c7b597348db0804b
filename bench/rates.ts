/** @file What a share of the machine's limit is a share of: a large product's rate in the same process. */
import { noGrad } from '../src/torch/autograd.ts';
import { full, matmul } from '../src/torch/ops.ts';
import { scope } from '../src/torch/tensor.ts';

/** Products are repeated for this long: the rates of three differed by an eighth from run to run, and every share with them. */
const SECONDS = 2;

/** Floating-point operations of a second in LibTorch's product of 4,096 x 4,096 numbers, the best of two seconds of them. */
export function productRate(dtype: 'float32' | 'bfloat16'): number {
  const size = 4096;
  return scope('peak', () =>
    noGrad(() => {
      const x = full([size, size], 1 / 64, { dtype });
      let bestMs = Number.POSITIVE_INFINITY;
      const startedMs = performance.now();
      while (performance.now() - startedMs < 1000 * SECONDS) {
        const beganMs = performance.now();
        matmul(x, x).dispose();
        bestMs = Math.min(bestMs, performance.now() - beganMs);
      }
      return (2 * size ** 3 * 1000) / bestMs;
    }),
  );
}
