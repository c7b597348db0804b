/** @file How fast this machine multiplies and copies, measured in under a second. */
import { noGrad } from '../torch/autograd.ts';
import { clone, mm, ones } from '../torch/ops.ts';
import { scope } from '../torch/tensor.ts';
import type { MachineRates } from './time.ts';

type ProductDtype = 'float32' | 'bfloat16';

const SIZE = 1024;
const COPIED = 32 * 2 ** 20;
const SECONDS = 0.2;

/** Rates of products in the types of training and sampling and of copies: the best that a fifth of a second has room for. */
export function measureRates(dtypes: { training: ProductDtype; sampling: ProductDtype }): MachineRates {
  const trainFlops = productRate(dtypes.training);
  return {
    trainFlops,
    sampleFlops: dtypes.sampling === dtypes.training ? trainFlops : productRate(dtypes.sampling),
    bytesPerSecond: scope('measure copies', () => {
      const values = ones([COPIED / 4], { dtype: 'float32' });
      return (2 * COPIED) / bestSeconds(() => clone(values).dispose());
    }),
  };
}

function productRate(dtype: ProductDtype): number {
  return scope('measure products', () =>
    noGrad(() => {
      const matrix = ones([SIZE, SIZE], { dtype });
      return (2 * SIZE ** 3) / bestSeconds(() => mm(matrix, matrix).dispose());
    }),
  );
}

function bestSeconds(work: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  const startedMs = performance.now();
  while (performance.now() - startedMs < 1000 * SECONDS) {
    const beganMs = performance.now();
    work();
    best = Math.min(best, (performance.now() - beganMs) / 1000);
  }
  return best;
}
