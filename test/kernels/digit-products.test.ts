/** @file Sampling's products with fp32 weights that bf16 does not hold: by digits where the processor has them, and by numbers everywhere. */
import { describe, expect, it } from 'vitest';
import { noGrad } from '../../src/torch/autograd.ts';
import { matmul, mul_Tensor, narrow, packRows, permute, rowLinear, to_dtype } from '../../src/torch/ops.ts';
import { float32, scope, type Tensor } from '../../src/torch/tensor.ts';
import { expectNear, hasOwnKernels, normals, numbers } from './support.ts';

const within = (body: () => void): void => scope('digits', () => noGrad(body));

// By digits every number loses up to half a unit of 150 / 2^23, where 150 is the largest of a row with outliers; 576 such losses have a
// deviation of 1.2e-4, of which three are allowed. By numbers it is the sum, of up to 250, that is rounded: half a unit of 250 / 2^24 and
// less for each of 576, of which twenty are allowed.
const cases = [
  { layout: 'fastest', tolerance: 3.6e-4 },
  { layout: 'numbers', tolerance: 1.5e-4 },
] as const;

describe.skipIf(!hasOwnKernels).each(cases)(
  'the product by rows with fp32 weights ($layout)',
  ({ layout, tolerance }) => {
    const wide = (x: Tensor): Tensor => to_dtype(x, 'float64');

    it('gives a row the same bits alone and among 1 to 300 others', () => {
      within(() => {
        const [x_TI, packed] = [normals('x', [300, 70]), packRows([normals('w', [45, 70])], { layout })];
        const all = numbers(rowLinear(x_TI, packed, 45));
        for (const [first, count] of [
          [0, 1],
          [16, 16],
          [31, 2],
          [1, 33],
          [40, 257],
        ] as const) {
          const some = numbers(rowLinear(narrow(x_TI, 0, first, count), packed, 45));
          expect(some).toEqual(all.subarray(first * 45, (first + count) * 45));
        }
      });
    });

    it('errs by what the largest number of a row leaves to the others', () => {
      within(() => {
        const sizes = Array.from({ length: 576 }, (_, i) => (i % 100 === 7 ? 50 : 1));
        const x_TI = mul_Tensor(normals('x', [33, 576]), float32(sizes, { shape: [1, 576] }));
        const weight_OI = normals('w', [45, 576]);
        const plain = matmul(wide(x_TI), permute(wide(weight_OI), [1, 0]));
        expectNear(numbers(rowLinear(x_TI, packRows([weight_OI], { layout }), 45)), numbers(plain), tolerance);
      });
    });

    it('makes no number of a row that has infinity in it, and harms no other row', () => {
      within(() => {
        const x_TI = float32([1, 2, Number.POSITIVE_INFINITY, 4, 1, 2, 3, 4], { shape: [2, 4] });
        const found = numbers(rowLinear(x_TI, packRows([normals('w', [3, 4])], { layout }), 3));
        expect(Array.from(found, Number.isFinite)).toEqual([false, false, false, true, true, true]);
      });
    });

    it('refuses rows that do not fit', () => {
      const refused = (): void =>
        within(() => rowLinear(normals('x', [1, 200]), packRows([normals('w', [1, 4])], { layout }), 1));
      expect(refused).toThrow(/does not fit/);
    });
  },
);
