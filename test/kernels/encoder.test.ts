/**
 * @file The operators of encoders (native/kernels/) against the same thing in float64, which LibTorch's operators compute: products with packed
 * weights, and attention with relative positions.
 */
import { describe, expect, it } from 'vitest';
import { relativeRow } from '../../src/model/encoder/deberta-config.ts';
import type { Dtype } from '../../src/torch/dtype.ts';
import {
  disentangledAttention,
  index_select,
  narrow,
  packedLinear,
  packLinear,
  to_dtype,
} from '../../src/torch/ops.ts';
import { int64, scope, type Tensor, tensorFrom, toFloat64Array } from '../../src/torch/tensor.ts';
import { normals, numbers } from './support.ts';

/** The largest difference, over the root mean square of what is expected. */
function error(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  const all = Array.from(expected);
  const size = Math.sqrt(all.reduce((sum, value) => sum + value * value, 0) / all.length);
  return all.reduce((most, value, i) => {
    const difference = Math.abs(value - (actual[i] ?? Number.NaN));
    return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(most, difference / size);
  }, 0);
}

/** activation(x W^T + b) in `dtype`, by weights that are packed. */
function product(x: Tensor, weight: Tensor, bias: Tensor, dtype: Dtype, activation: 'none' | 'gelu' = 'none'): Tensor {
  const [packed, scales] = packLinear(to_dtype(weight, dtype));
  return packedLinear(to_dtype(x, dtype), packed, scales, bias, { activation });
}

describe('packed_linear', () => {
  // 37 rows, 70 inputs and 50 outputs fill no tile; 300 rows are more than a block.
  it.each([
    [37, 70, 50],
    [300, 1024, 96],
    [1, 4100, 33],
  ])('in float32 has the error of a float32 sum: %i rows, %i inputs, %i outputs', (rows, inputs, outputs) => {
    scope('test', () => {
      const [x, weight, bias] = [
        normals('x', [rows, inputs]),
        normals('w', [outputs, inputs]),
        normals('b', [outputs]),
      ];
      const expected = toFloat64Array(product(to_dtype(x, 'float64'), to_dtype(weight, 'float64'), bias, 'float64'));
      // A sum of 4100 products that are rounded to 2^-24 one by one has an error of about 2e-6 of its size.
      expect(error(numbers(product(x, weight, bias, 'float32')), expected)).toBeLessThan(3e-6);
    });
  });

  it('in bfloat16 is the product of the rounded factors, rounded once', () => {
    scope('test', () => {
      const [x, weight] = [normals('x', [133, 200]), normals('w', [70, 200])].map((each) => to_dtype(each, 'bfloat16'));
      if (x === undefined || weight === undefined) throw new Error('No factors');
      const bias = normals('b', [70]);
      const expected = toFloat64Array(product(x, weight, to_dtype(to_dtype(bias, 'bfloat16'), 'float32'), 'float64'));
      // Half a unit of 8 bits, of results up to five times the usual size.
      expect(error(numbers(product(x, weight, bias, 'bfloat16')), expected)).toBeLessThan(5 * 2 ** -8);
    });
  });

  it('gives gelu of the product', () => {
    scope('test', () => {
      const [x, weight, bias] = [normals('x', [64, 70]), normals('w', [48, 70], 0.4), normals('b', [48])];
      const exact = product(to_dtype(x, 'float64'), to_dtype(weight, 'float64'), bias, 'float64', 'gelu');
      // Products err by 1e-6, gelu by 2e-7 of its argument.
      expect(error(numbers(product(x, weight, bias, 'float32', 'gelu')), toFloat64Array(exact))).toBeLessThan(5e-6);
    });
  });

  it.each(['float32', 'bfloat16'] as const)('gives a row the same bits alone and among others in %s', (dtype) => {
    scope('test', () => {
      const [x, weight, bias] = [normals('x', [200, 96]), normals('w', [64, 96]), normals('b', [64])];
      const all = product(x, weight, bias, dtype);
      const alone = product(narrow(x, 0, 150, 1), weight, bias, dtype);
      expect(numbers(alone)).toEqual(numbers(narrow(all, 0, 150, 1)));
    });
  });

  it('keeps what is not finite in its row', () => {
    scope('test', () => {
      const x = Float32Array.from({ length: 40 * 64 }, (_, i) => Math.sin(i));
      x[3 * 64 + 5] = Number.NaN;
      x[7 * 64] = Number.POSITIVE_INFINITY;
      const y = numbers(
        product(tensorFrom(x, [40, 64], 'float32'), normals('w', [16, 64]), normals('b', [16]), 'float32'),
      );
      const broken = Array.from({ length: 40 }, (_, row) =>
        y.subarray(row * 16, row * 16 + 16).some((v) => !Number.isFinite(v)),
      );
      expect(broken.flatMap((is, row) => (is ? [row] : []))).toEqual([3, 7]);
    });
  });

  it('of numbers too small to scale is the bias', () => {
    scope('test', () => {
      const bias = normals('b', [16]);
      const tiny = product(normals('x', [2, 64], 1e-38), normals('w', [16, 64]), bias, 'float32');
      expect(numbers(narrow(tiny, 0, 0, 1))).toEqual(numbers(bias));
    });
  });
});

const HEADS = 2;
const WIDTH = 24;
const TABLE = { span: 16, logBuckets: { maxDistance: 64 } };

interface Case {
  lengths: readonly number[];
  terms: 'both' | 'keys' | 'queries' | 'none';
  /** Places of the tokens that ask, of each sequence. @default all */
  asked?: readonly number[];
}

function attention({ lengths, terms, asked }: Case, dtype: Dtype, arithmetic = 'fastest'): Tensor {
  const longest = Math.max(...lengths);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const places = lengths.map((length) => Array.from({ length }, (_, i) => i));
  const queries = places.map((all) => asked ?? all);
  const starts = lengths.map((_, i) => lengths.slice(0, i).reduce((sum, length) => sum + length, 0));
  const rows = starts.flatMap((start, i) => (queries[i] ?? []).map((place) => start + place));
  const of = (name: string, count: number): Tensor =>
    to_dtype(to_dtype(normals(name, [count, HEADS, WIDTH]), 'bfloat16'), dtype);
  const all = of('q', tokens);
  const q = asked === undefined ? all : index_select(all, 0, int64(rows));
  const table = (name: string): Tensor => of(name, 2 * TABLE.span);
  return disentangledAttention(
    q,
    of('k', tokens),
    of('v', tokens),
    terms === 'both' || terms === 'keys' ? table('relative keys') : null,
    terms === 'both' || terms === 'queries' ? table('relative queries') : null,
    Array.from({ length: 2 * longest + 1 }, (_, i) => relativeRow(TABLE, i - longest)),
    queries.flat(),
    places.flat(),
    lengths.flatMap((length, i) => [queries[i]?.length ?? 0, length]),
    { arithmetic },
  );
}

function canRun(dtype: Dtype, arithmetic: string): boolean {
  return scope('try', () => {
    try {
      attention({ lengths: [1], terms: 'none' }, dtype, arithmetic);
      return true;
    } catch (error) {
      if (String(error).includes('this processor does not have')) return false;
      throw error;
    }
  });
}

describe('disentangled_attention', () => {
  // One token; a tile and one token more; more tiles than are worked on together; a sequence after a longer one.
  const cases: Case[] = [
    { lengths: [1, 33], terms: 'both' },
    { lengths: [170, 31, 64], terms: 'both' },
    { lengths: [70], terms: 'keys' },
    { lengths: [70], terms: 'queries' },
    { lengths: [40, 3], terms: 'none' },
    { lengths: [50, 20], terms: 'both', asked: [1, 7, 19] },
  ];

  it.each(cases)('is the softmax of its three terms: $lengths, $terms, asked $asked', (each) => {
    scope('test', () => {
      const expected = toFloat64Array(attention(each, 'float64'));
      // Scores of a few units err by some 2^-22 in float32; in bfloat16 weights and results are rounded to 2^-9.
      expect(error(numbers(attention(each, 'float32')), expected)).toBeLessThan(1e-5);
      expect(error(numbers(attention(each, 'bfloat16')), expected)).toBeLessThan(each.asked === undefined ? 0.03 : 0.1);
    });
  });

  // By kernels for other processors: those that this one can run.
  const ways = [
    ['float32', 'vector'],
    ['bfloat16', 'vector'],
    ['bfloat16', 'avx512_bf16'],
  ] as const;
  it.each(ways.filter(([dtype, way]) => canRun(dtype, way)))('is the same in %s by %s', (dtype, arithmetic) => {
    scope('test', () => {
      const each: Case = { lengths: [70, 33], terms: 'both' };
      const expected = toFloat64Array(attention(each, 'float64'));
      const found = numbers(attention(each, dtype, arithmetic));
      expect(error(found, expected)).toBeLessThan(dtype === 'float32' ? 1e-5 : 0.03);
    });
  });

  it.each(['float32', 'bfloat16'] as const)(
    'gives a sequence the same bits alone and before a longer one in %s',
    (dtype) => {
      scope('test', () => {
        const together = numbers(attention({ lengths: [45, 90], terms: 'both' }, dtype));
        const alone = numbers(attention({ lengths: [45], terms: 'both' }, dtype));
        expect(together.slice(0, alone.length)).toEqual(alone);
      });
    },
  );

  it('refuses a distance that no row is named for', () => {
    scope('test', () => {
      const x = normals('x', [3, 1, 8]);
      expect(() => disentangledAttention(x, x, x, null, null, [0, 0, 0], [0, 1, 2], [0, 1, 2], [3, 3])).toThrow(
        /sequence 0 has distances beyond 1/,
      );
    });
  });
});
