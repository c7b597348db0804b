/** @file The sum of squares that a gradient's norm is the root of, against float64: its value, and its bits. */
import { describe, expect, it } from 'vitest';
import { memoryStatistics } from '../../src/torch/memory.ts';
import { setThreads } from '../../src/torch/native.ts';
import { mul_Scalar, sumOfSquares, to_dtype } from '../../src/torch/ops.ts';
import { float32, scope, type Tensor, toFloat64Array } from '../../src/torch/tensor.ts';
import { normals, numbers } from './support.ts';

function value(tensors: readonly Tensor[]): number {
  return toFloat64Array(sumOfSquares(tensors))[0] ?? Number.NaN;
}

describe('sumOfSquares', () => {
  // The second has a whole part, one that ends within a vector, and no number for the rest of it.
  const some = (): Tensor[] => [
    normals('few', [5]),
    normals('many', [3, 70_001]),
    to_dtype(normals('half', [40, 37]), 'bfloat16'),
  ];

  it('adds up in float64', () => {
    scope('squares', () => {
      const expected = some()
        .flatMap((tensor) => [...numbers(to_dtype(tensor, 'float32'))])
        .reduce((sum, each) => sum + each * each, 0);
      expect(Math.abs(value(some()) / expected - 1)).toBeLessThan(1e-13);
    });
  });

  it('has the same bits whatever the number of threads', () => {
    scope('squares', () => {
      const before = memoryStatistics().threads;
      const found = [1, 2, 3].map((threads) => {
        setThreads(threads);
        return value(some());
      });
      setThreads(before);
      expect(new Set(found).size).toBe(1);
    });
  });

  it('holds squares that float32 does not, and says so where a number is not finite', () => {
    scope('squares', () => {
      expect(value([mul_Scalar(float32([3, 4]), 1e30)]) / 25e60).toBeCloseTo(1, 6);
      expect(value([float32([1, Number.POSITIVE_INFINITY])])).toBe(Number.POSITIVE_INFINITY);
      expect(value([float32([Number.NaN]), float32([1])])).toBeNaN();
    });
  });
});
