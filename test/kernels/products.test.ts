/**
 * @file Training's products of matrices, forward and backward, against float64; their bits do not depend on threads or on what shares a call.
 */
import { describe, expect, it } from 'vitest';
import { backward, gradientOf, noGrad, requireGrad, setGradient } from '../../src/torch/autograd.ts';
import { memoryStatistics } from '../../src/torch/memory.ts';
import { setThreads } from '../../src/torch/native.ts';
import {
  abs,
  add_Tensor,
  addProduct_,
  cat,
  full,
  hasTiles,
  matmul,
  mixedLinear,
  mixedLinears,
  mul_Tensor,
  narrow,
  permute,
  to_dtype,
} from '../../src/torch/ops.ts';
import { float32, scope, type Tensor } from '../../src/torch/tensor.ts';
import { expectNear, normals, numbers } from './support.ts';

describe('products of matrices', () => {
  const wide = (x: Tensor): Tensor => to_dtype(x, 'float64');
  /** [rows, columns] as it lies, or as a view of its transpose. */
  const matrix = (name: string, [rows, columns]: [number, number], isTurned: boolean): Tensor =>
    isTurned ? permute(normals(name, [columns, rows]), [1, 0]) : normals(name, [rows, columns]);
  const ways = [
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ] as const;

  // No size is a whole tile, and 4,200 inputs are more than are worked through at once. Sums of 4,200 products have a deviation of 65: fp32
  // holds that to 8e-6 and adds up 4,200 of them; a result in bf16 is rounded by up to 2^-9 of its size.
  it.each(
    (['float32', 'bfloat16'] as const).flatMap((dtype) =>
      ways.flatMap(([left, right]) => [70, 4200].map((inputs) => ({ dtype, left, right, inputs }))),
    ),
  )('are what float64 says, whichever way the factors lie ($dtype, $left, $right, $inputs)', (how) => {
    scope('products', () => {
      noGrad(() => {
        const a_MK = to_dtype(matrix('a', [77, how.inputs], how.left), how.dtype);
        const b_KN = to_dtype(matrix('b', [how.inputs, 129], how.right), how.dtype);
        const plain = matmul(wide(a_MK), wide(b_KN));
        const b_NK = permute(b_KN, [1, 0]);
        const bias_N = normals('bias', [129]);
        const found = mixedLinear(a_MK, b_NK, b_NK, { bias: bias_N });
        const biased = add_Tensor(plain, wide(bias_N));
        // Where there are no tiles, LibTorch rounds the bias too, and the product before that is added.
        const rounded = hasTiles(a_MK) ? 2 ** -8 : 2 ** -6;
        expectNear(numbers(found), numbers(biased), how.dtype === 'float32' ? 1e-4 : rounded);
        const sum_MN = normals('sum', [77, 129]);
        const added = numbers(add_Tensor(wide(sum_MN), plain));
        // A sum in bf16 is rounded at its own size, here up to 280, whenever something was added.
        const coarse_MN = to_dtype(sum_MN, how.dtype, { copy: true });
        expectNear(numbers(addProduct_(coarse_MN, a_MK, b_KN)), added, how.dtype === 'float32' ? 1e-4 : 0.5);
        // Where there are no tiles, LibTorch rounds a product in bf16 before it is added.
        expectNear(numbers(addProduct_(sum_MN, a_MK, b_KN)), added, hasTiles(a_MK) ? 1e-4 : 2 ** -6);
      });
    });
  });

  it.each(['float32', 'bfloat16'] as const)(
    'have the same bits whatever shares the call, and however many threads (%s)',
    (dtype) => {
      scope('products', () => {
        noGrad(() => {
          const x_TI = to_dtype(normals('x', [600, 96]), dtype);
          const weight_OI = to_dtype(normals('w', [100, 96]), dtype);
          const before = memoryStatistics().threads;
          setThreads(1);
          const all = mixedLinear(x_TI, weight_OI, weight_OI);
          setThreads(3);
          // A processor without tiles asks LibTorch, which promises neither.
          if (dtype === 'bfloat16' || hasTiles(x_TI))
            expect(numbers(mixedLinear(x_TI, weight_OI, weight_OI))).toEqual(numbers(all));
          const some = narrow(x_TI, 0, 33, 20);
          if (hasTiles(x_TI))
            expect(numbers(mixedLinear(some, weight_OI, weight_OI))).toEqual(numbers(narrow(all, 0, 33, 20)));
          setThreads(before);
        });
      });
    },
  );

  // 33 MiB of results are more than a cache holds, and are written past it.
  it.each([
    { dtype: 'float32', copies: 64 },
    { dtype: 'bfloat16', copies: 128 },
  ] as const)('of $dtype have the same bits where a result is too large for the cache', ({ dtype, copies }) => {
    scope('large', () => {
      noGrad(() => {
        const x_TI = to_dtype(normals('x', [270, 32]), dtype);
        const weight_OI = to_dtype(normals('w', [500, 32]), dtype);
        const all_VI = cat(Array<Tensor>(copies).fill(weight_OI));
        const found = mixedLinear(x_TI, all_VI, all_VI);
        const last = numbers(narrow(found, 1, (copies - 1) * 500, 500));
        const alone = numbers(mixedLinear(x_TI, weight_OI, weight_OI));
        if (hasTiles(x_TI)) expect(last).toEqual(alone);
        // Elsewhere LibTorch may add 32 products in another order: up to a rounding of a sum of 30.
        else expectNear(last, alone, dtype === 'float32' ? 1e-5 : 2 ** -3);
      });
    });
  });

  // 400 inputs are two stretches, 530 rows two blocks, and 4,500 columns so many that each thread packs its own.
  it.each([40, 530])('of fp32 have the same bits where few rows (%i) meet very many columns', (rows) => {
    scope('many columns', () => {
      noGrad(() => {
        const x_TI = normals('x', [rows, 400]);
        const weight_OI = normals('w', [50, 400]);
        const all_VI = cat(Array<Tensor>(90).fill(weight_OI));
        const last = numbers(narrow(mixedLinear(x_TI, all_VI, all_VI), 1, 89 * 50, 50));
        const alone = numbers(mixedLinear(x_TI, weight_OI, weight_OI));
        if (hasTiles(x_TI)) expect(last).toEqual(alone);
        else expectNear(last, alone, 1e-4);
        const sum_TV = full([rows, 4500], 3, { dtype: 'float32' });
        const added = numbers(narrow(addProduct_(sum_TV, x_TI, permute(all_VI, [1, 0])), 1, 0, 50));
        expectNear(
          added,
          alone.map((value) => 3 + value),
          1e-4,
        );
      });
    });
  });

  // Factors between 2^-20 and 2^20. A sum is as exact as the largest of what is added to it: of 200 products, fp32 loses up to 2^-21 of their
  // sizes' sum by tiles, 32 products to a sum; LibTorch may add one after the other, and lose 200 times 2^-24. Two pieces of bf16 in place
  // of three would lose 2^-16.
  it('of fp32 keep all bits of both factors, whatever their sizes', () => {
    scope('sizes', () => {
      noGrad(() => {
        const sizes = (name: string, shape: [number, number]): Tensor => {
          const powers = numbers(normals(`${name} sizes`, shape)).map(
            (value) => 2 ** Math.max(-20, Math.min(20, 8 * value)),
          );
          return mul_Tensor(normals(name, shape), float32(Array.from(powers), { shape }));
        };
        const x_TI = sizes('x', [64, 200]);
        const weight_OI = sizes('w', [64, 200]);
        const exact = numbers(matmul(wide(x_TI), permute(wide(weight_OI), [1, 0])));
        const bound = numbers(matmul(wide(abs(x_TI)), permute(wide(abs(weight_OI)), [1, 0])));
        const found = numbers(mixedLinear(x_TI, weight_OI, weight_OI));
        const worst = found.map((value, i) => Math.abs(value - (exact[i] ?? Number.NaN)) / (bound[i] ?? Number.NaN));
        expect(Math.max(...worst)).toBeLessThan(hasTiles(x_TI) ? 2 ** -21 : 200 * 2 ** -24);
      });
    });
  });

  it('show what is not finite in the rows that it touches, and only there', () => {
    scope('not finite', () => {
      noGrad(() => {
        const x_TI = normals('x', [40, 64]);
        const weight_OI = normals('w', [40, 64]);
        const spoilt = numbers(x_TI);
        spoilt[3 * 64 + 5] = Number.NaN;
        spoilt[7 * 64] = Number.POSITIVE_INFINITY;
        const spoilt_TI = float32(Array.from(spoilt), { shape: [40, 64] });
        const found = numbers(mixedLinear(spoilt_TI, weight_OI, weight_OI));
        const rows = Array.from({ length: 40 }, (_, row) => row);
        const finite = rows.filter((row) => found.subarray(row * 40, row * 40 + 40).every(Number.isFinite));
        expect(finite).toEqual(rows.filter((row) => row !== 3 && row !== 7));
      });
    });
  });

  // Masters of 10 and 70 outputs with a gradient, of 40 without one. Gradients are sums of 40 and 120 products: bf16 rounds what it holds by
  // up to 2^-9, where there are no tiles each product before it is added.
  it.each([
    { dtype: 'float32', tolerance: 1e-5 },
    { dtype: 'bfloat16', tolerance: 0.25 },
  ] as const)('of several weights at once are those of each alone, and so are their gradients ($dtype)', (how) => {
    scope('several', () => {
      const sizes = [10, 70, 40];
      const x_TI = requireGrad(noGrad(() => to_dtype(normals('x', [40, 24]), how.dtype, { copy: true })));
      const dys = sizes.map((size) => to_dtype(normals(`dy ${size}`, [40, size]), how.dtype));
      const computes = sizes.map((size) => to_dtype(normals(`w ${size}`, [size, 24]), how.dtype));
      const masters = sizes.map((size) => requireGrad(normals(`w ${size}`, [size, 24])));
      const start = (): void =>
        masters.forEach((master, i) => {
          setGradient(master, i < 2 ? full([sizes[i] ?? 0, 24], 3, { dtype: 'float32' }) : null);
        });
      const gradients = (): Float32Array[] =>
        [x_TI, ...masters].map((tensor) => {
          const gradient = gradientOf(tensor);
          if (gradient === null) throw new Error('No gradient');
          return numbers(gradient);
        });
      start();
      const alone = masters.map((master, i) => mixedLinear(x_TI, master, computes[i] ?? master));
      backward(alone, dys);
      const expected = gradients();
      start();
      setGradient(x_TI, null);
      const together = mixedLinears(x_TI, masters, computes);
      backward(together, dys);
      expect(together.map(numbers)).toEqual(alone.map(numbers));
      gradients().forEach((found, i) => void expectNear(found, expected[i] ?? new Float32Array(), how.tolerance));
    });
  });

  it('add the gradient of a master to the one that it has, and make one where it has none', () => {
    scope('gradients', () => {
      const x_TI = normals('x', [40, 24]);
      const dy_TO = normals('dy', [40, 10]);
      const gradientAfter = (passes: number, start: Tensor | null): Float32Array => {
        const weight_OI = requireGrad(normals('w', [10, 24]));
        if (start !== null) setGradient(weight_OI, start);
        for (let pass = 0; pass < passes; pass++) backward([mixedLinear(x_TI, weight_OI, weight_OI)], [dy_TO]);
        const gradient = gradientOf(weight_OI);
        if (gradient === null) throw new Error('No gradient');
        return numbers(gradient);
      };
      const once = numbers(noGrad(() => matmul(permute(dy_TO, [1, 0]), x_TI)));
      expectNear(gradientAfter(1, null), once, 1e-5);
      expectNear(
        gradientAfter(2, full([10, 24], 3, { dtype: 'float32' })),
        once.map((value) => 3 + 2 * value),
        1e-5,
      );
    });
  });
});
