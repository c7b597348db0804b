/** @file What a share of the machine's limit is a share of: a large product's rate in the same process. */
import { noGrad } from '../src/torch/autograd.ts';
import { full, matmul } from '../src/torch/ops.ts';
import { scope } from '../src/torch/tensor.ts';

/** Floating-point operations of a second in LibTorch's product of 4,096 x 4,096 numbers, the best of three. */
export function productRate(dtype: 'float32' | 'bfloat16'): number {
  const size = 4096;
  return scope('peak', () =>
    noGrad(() => {
      const x = full([size, size], 1 / 64, { dtype });
      const rates = Array.from({ length: 3 }, () => {
        const begin = performance.now();
        matmul(x, x).dispose();
        return (2 * size ** 3 * 1000) / (performance.now() - begin);
      });
      return Math.max(...rates);
    }),
  );
}
