/**
 * @file Sampling's products by rows with packed weights, and attention to pages: a row's bits do not depend on what else is in the batch.
 */
import { describe, expect, it } from 'vitest';
import { noGrad } from '../../src/torch/autograd.ts';
import { memoryStatistics } from '../../src/torch/memory.ts';
import { setThreads } from '../../src/torch/native.ts';
import {
  add_Tensor,
  cat,
  geglu,
  matmul,
  narrow,
  packRows,
  permute,
  rowGated,
  rowLinear,
  rowLinears,
  swiglu,
  to_dtype,
} from '../../src/torch/ops.ts';
import { float32, scope, type Tensor } from '../../src/torch/tensor.ts';
import { expectNear, hasOwnKernels, normals, numbers } from './support.ts';

// What a device without kernels computes is LibTorch's, whose bits depend on the number of rows.
describe.skipIf(!hasOwnKernels)('the product by rows', () => {
  const wide = (x: Tensor): Tensor => to_dtype(x, 'float64');
  const bf16 = (x: Tensor): Tensor => to_dtype(x, 'bfloat16');

  // fp32: sums of 40 products; in a sanitized build the compiler adds them up in another order (1.2e-6 there). By digits each number
  // loses up to 2^-24 of about 3, the largest of its row: 40 such losses of both factors have a deviation of 0.8e-6. float64 takes the
  // composition that other devices take too.
  const isSanitized = process.env.ASAN_OPTIONS !== undefined;
  it.each([
    ['float32', 'fastest', 3e-6],
    ['float32', 'numbers', isSanitized ? 3e-6 : 1e-6],
    ['float64', 'fastest', 1e-6],
  ] as const)('is a product with the transposed weights, plus bias (%s, %s)', (dtype, layout, tolerance) => {
    scope('rows', () => {
      noGrad(() => {
        const [x_TI, weight_OI, bias_O] = [normals('x', [5, 40]), normals('w', [70, 40]), normals('b', [70])];
        const found = rowLinear(to_dtype(x_TI, dtype), packRows([to_dtype(weight_OI, dtype)], { layout }), 70, {
          bias: to_dtype(bias_O, dtype),
        });
        const plain = matmul(wide(x_TI), permute(wide(weight_OI), [1, 0]));
        expectNear(numbers(found), numbers(add_Tensor(plain, wide(bias_O))), tolerance);
      });
    });
  });

  const paths = ['amx', 'avx512_bf16', 'vector'].filter((arithmetic) =>
    scope('try a path', () =>
      noGrad(() => {
        try {
          rowLinear(float32([1, 1], { shape: [1, 2] }), packRows([bf16(normals('w', [1, 2]))]), 1, { arithmetic });
          return true;
        } catch (error) {
          if (String(error).includes('this processor does not have')) return false;
          throw error;
        }
      }),
    ),
  );

  it('has the same bits whoever takes its panels: one thread, or four that share them sixty times', () => {
    scope('threads', () => {
      noGrad(() => {
        const [x_TI, panels] = [normals('x', [40, 256]), packRows([normals('w', [1000, 256])])];
        const before = memoryStatistics().threads;
        setThreads(1);
        const alone = numbers(rowLinear(x_TI, panels, 1000));
        setThreads(4);
        for (let turn = 0; turn < 60; turn++) {
          const found = scope('turn', () => numbers(rowLinear(x_TI, panels, 1000)));
          if (turn % 20 === 0) expect(found).toEqual(alone);
          else expect(found[turn * 600]).toBe(alone[turn * 600]);
        }
        setThreads(before);
      });
    });
  });

  it('has a way to multiply in bf16 on every processor, and refuses one that is none', () => {
    expect(paths).toContain('vector');
    const call = (arithmetic: string): Tensor =>
      rowLinear(normals('x', [1, 4]), packRows([bf16(normals('w', [1, 4]))]), 1, { arithmetic });
    expect(() => scope('refused', () => noGrad(() => call('sse9')))).toThrow(/fastest, amx, avx512_bf16, vector/);
  });

  // Products of two bf16 numbers are exact in fp32: what is left are sums of 70 of them in another order. 70 inputs are no
  // whole tiles, 45 outputs no whole panel.
  it.each(paths)('rounds both factors to bf16 and adds up in fp32 (%s)', (arithmetic) => {
    scope('rows', () => {
      noGrad(() => {
        const [x_TI, weight_OI, bias_O] = [normals('x', [37, 70]), normals('w', [45, 70]), normals('b', [45])];
        const found = rowLinear(x_TI, packRows([bf16(weight_OI)]), 45, { bias: bias_O, arithmetic });
        const plain = matmul(wide(bf16(x_TI)), permute(wide(bf16(weight_OI)), [1, 0]));
        expectNear(numbers(found), numbers(add_Tensor(plain, wide(bias_O))), 2e-6);
      });
    });
  });

  // fp32 rows against weights that bf16 holds: nothing is rounded but sums. 300 rows are shared among threads by rows.
  it('keeps all 24 bits of fp32 rows beside weights in bf16', () => {
    scope('rows', () => {
      noGrad(() => {
        const [x_TI, weight_OI] = [normals('x', [300, 576]), normals('w', [45, 576])];
        const plain = matmul(wide(x_TI), permute(wide(bf16(weight_OI)), [1, 0]));
        // Sums of 576 products have a deviation of 24; fp32 holds that to 2e-6, bf16 to 0.1.
        expectNear(numbers(rowLinear(x_TI, packRows([bf16(weight_OI)]), 45)), numbers(plain), 5e-5);
      });
    });
  });

  it.each(['float32', ...paths])(
    'makes products of one input at once with the bits of one after the other (%s)',
    (arithmetic) => {
      scope('rows', () => {
        noGrad(() => {
          // Neither output fills its last panel.
          const counts = [45, 70];
          const x_TI = normals('x', [37, 70]);
          const weights = counts.map((count, i) => bf16(normals(`w${i}`, [count, 70])));
          const biases = counts.map((count, i) => normals(`b${i}`, [count]));
          const found = rowLinears(x_TI, packRows(weights), counts, { bias: cat(biases), arithmetic });
          found.forEach((part, i) => {
            const [packed, bias] = [packRows(weights.slice(i, i + 1)), biases[i]];
            expect(numbers(part)).toEqual(numbers(rowLinear(x_TI, packed, counts[i] ?? 0, { bias, arithmetic })));
          });
        });
      });
    },
  );

  // The activation is the same function on the same sums; in bf16 the result is rounded as the next product would round it, but for numbers so
  // small that some processors round them to zero, and products take them for zero.
  it.each(
    ['float32', ...paths].flatMap((arithmetic) => [
      { arithmetic, activation: 'silu', gated: swiglu },
      { arithmetic, activation: 'gelu_tanh', gated: geglu },
    ]),
  )('gates a product by another with the bits of one step after the other ($arithmetic, $activation)', (each) => {
    const { arithmetic, activation, gated } = each;
    scope('rows', () => {
      noGrad(() => {
        const x_TI = normals('x', [37, 70]);
        const [gate, up] = [packRows([bf16(normals('gate', [45, 70]))]), packRows([bf16(normals('up', [45, 70]))])];
        const steps = gated(rowLinear(x_TI, gate, 45, { arithmetic }), rowLinear(x_TI, up, 45, { arithmetic }));
        const found = rowGated(x_TI, cat([gate, up]), 45, activation, { arithmetic });
        const normal = (all: Tensor) => numbers(all).map((each) => (Math.abs(each) < 2 ** -126 ? 0 : each));
        expect(normal(found)).toEqual(normal(arithmetic === 'float32' ? steps : bf16(steps)));
        // What comes out goes into the next product as it is.
        const down = packRows([bf16(normals('down', [20, 45]))]);
        const next = rowLinear(to_dtype(steps, 'float32'), down, 20, { arithmetic });
        expect(numbers(rowLinear(found, down, 20, { arithmetic }))).toEqual(numbers(next));
      });
    });
  });

  it.each(['float32', ...paths])('gives a row the same bits alone and among 1 to 300 others (%s)', (arithmetic) => {
    scope('rows', () => {
      noGrad(() => {
        const x_TI = normals('x', [300, 650]);
        const packed = packRows([bf16(normals('w', [45, 650]))]);
        const all = numbers(rowLinear(x_TI, packed, 45, { arithmetic }));
        for (const [first, count] of [
          [0, 1],
          [3, 5],
          [16, 16],
          [31, 2],
          [1, 33],
          [69, 1],
          [5, 64],
          [40, 257],
        ] as const) {
          const some = numbers(rowLinear(narrow(x_TI, 0, first, count), packed, 45, { arithmetic }));
          expect(some).toEqual(all.subarray(first * 45, (first + count) * 45));
        }
      });
    });
  });
});
