/**
 * @file Attention over trees, with windows and soft caps, against plain attention with a mask: values and gradients, in fp32, in bf16, and by
 * flash attention's parts.
 */
import { describe, expect, it } from 'vitest';
import { noGrad } from '../../src/torch/autograd.ts';
import type { Dtype } from '../../src/torch/dtype.ts';
import {
  full,
  index_select,
  masked_fill_Scalar,
  matmul,
  mul_Scalar,
  narrow,
  pagedAttention,
  permute,
  readPages,
  repeat_interleave_self_int,
  softmax_int,
  to_dtype,
  treeAttention,
  treeAttentionWithKnown,
  writePages,
  zeros,
} from '../../src/torch/ops.ts';
import { int64, scope, type Tensor, tensorFrom } from '../../src/torch/tensor.ts';
import { capped, cosine, expectNear, hasOwnKernels, normals, numbers, valueAndGradients } from './support.ts';

// A prompt of 19 tokens with continuations of 21 and 1, a second level under the first, and a tree of its own.
const SEGMENTS = [0, 19, -1, 19, 21, 0, 40, 1, 0, 41, 6, 1, 47, 5, -1];
const TOKENS = 52;

/** Segments from the root to a token's own, as ranges of tokens. */
function pathOf(segment: number): [number, number][] {
  if (segment < 0) return [];
  const [start = 0, length = 0, parent = -1] = SEGMENTS.slice(segment * 3, segment * 3 + 3);
  return [...pathOf(parent), [start, length]];
}

/** Whether a token sees another: it lies on its path, not after it, and at most `window` - 1 tokens before. */
function hiddenPairs(window: number): Tensor {
  const hidden = new Uint8Array(TOKENS * TOKENS).fill(1);
  for (let segment = 0; segment * 3 < SEGMENTS.length; segment++) {
    const path = pathOf(segment).flatMap(([start, length]) => Array.from({ length }, (_, i) => start + i));
    const [start = 0, length = 0] = pathOf(segment).at(-1) ?? [];
    for (let query = start; query < start + length; query++) {
      const at = path.indexOf(query);
      const first = window === 0 ? 0 : Math.max(0, at - window + 1);
      for (const key of path.slice(first, at + 1)) hidden[query * TOKENS + key] = 0;
    }
  }
  return tensorFrom(hidden, [TOKENS, TOKENS], 'bool');
}

function plainAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  rule: { scale: number; window: number; softCap: number },
): Tensor {
  const times = (q.shape[1] ?? 1) / (k.shape[1] ?? 1);
  const byHead = (x: Tensor): Tensor => permute(x, [1, 0, 2]);
  const wide = (x: Tensor): Tensor => repeat_interleave_self_int(byHead(x), times, { dim: 0 });
  const scores = capped(mul_Scalar(matmul(byHead(q), permute(wide(k), [0, 2, 1])), rule.scale), rule.softCap);
  const masked = masked_fill_Scalar(scores, hiddenPairs(rule.window), Number.NEGATIVE_INFINITY);
  return permute(matmul(softmax_int(masked, -1), wide(v)), [1, 0, 2]);
}

describe('attention over longer trees in bf16', () => {
  // Segments of more than 32 tokens that end and begin anywhere; one of a single token. Inputs are the same in both types, and
  // rounding of weights, outputs and gradients to 8 bits turns a vector by less than its 200th part.
  it.each([
    { window: 0, softCap: 0 },
    { window: 50, softCap: 0 },
    { window: 0, softCap: 2 },
  ])('has the values and gradients of fp32: window $window, soft cap $softCap', (rule) => {
    const segments = [0, 70, -1, 70, 45, 0, 115, 33, 0, 148, 1, -1, 149, 64, 3];
    scope('trees', () => {
      const rounded = noGrad(() =>
        [normals('q', [213, 6, 40]), normals('k', [213, 2, 40]), normals('v', [213, 2, 40])].map((x) =>
          to_dtype(x, 'bfloat16'),
        ),
      );
      const of = (dtype: Dtype): Float32Array[] =>
        valueAndGradients(
          noGrad(() => rounded.map((x) => to_dtype(x, dtype))),
          (...[q, k, v]) => {
            if (q === undefined || k === undefined || v === undefined) throw new Error('Three inputs');
            return treeAttention(q, k, v, segments, 0.2, rule);
          },
        );
      const wide = of('float32');
      of('bfloat16').forEach((values, i) => {
        expect(cosine(values, wide[i] ?? [])).toBeGreaterThan(1 - 1e-5);
      });
    });
  });
});

describe('attention over trees by flash attention', () => {
  // fp16 has no kernel on the CPU, so it goes the way of a GPU, over a reference of LibTorch's operators. 11 bits of inputs that are
  // the same, of weights and of outputs turn a vector by less than its thousandth part.
  const segments = [0, 70, -1, 70, 45, 0, 115, 33, 0, 148, 1, -1, 149, 64, 3];
  const compare = (width: number, rule: { window: number; softCap: number }): void =>
    scope('trees', () => {
      const rounded = noGrad(() =>
        [normals('q', [213, 6, width]), normals('k', [213, 2, width]), normals('v', [213, 2, width])].map((x) =>
          to_dtype(x, 'float16'),
        ),
      );
      const of = (dtype: Dtype): Float32Array[] =>
        valueAndGradients(
          noGrad(() => rounded.map((x) => to_dtype(x, dtype))),
          (...[q, k, v]) => treeAttention(q as Tensor, k as Tensor, v as Tensor, segments, 0.2, rule),
        );
      const kernel = of('float32');
      of('float16').forEach((values, i) => {
        expect(cosine(values, kernel[i] ?? [])).toBeGreaterThan(1 - 1e-6);
      });
    });

  // In a window of 1 the gradients of queries and keys are zero, which has no direction.
  it.each([0, 2, 50, 71, 1000])(
    'has the values and gradients of the kernel, merged from its parts: window %i',
    (window) => compare(40, { window, softCap: 0 }),
  );

  it('is composed where the operators do not take it: a soft cap, or heads of no multiple of 8', () => {
    compare(40, { window: 0, softCap: 2 });
    compare(12, { window: 30, softCap: 0 });
  });
});

describe('attention over trees', () => {
  const rules = [
    { window: 0, softCap: 0 },
    { window: 1, softCap: 0 },
    { window: 6, softCap: 0 },
    { window: 22, softCap: 1.5 },
    { window: 1000, softCap: 0.7 },
  ];
  const inputs = (dtype: Dtype): Tensor[] =>
    noGrad(() => [
      to_dtype(normals('q', [TOKENS, 4, 12]), dtype),
      to_dtype(normals('k', [TOKENS, 2, 12]), dtype),
      to_dtype(normals('v', [TOKENS, 2, 12]), dtype),
    ]);

  // fp32: sums of up to 46 products. bf16 keeps 8 bits, and its backward pass starts from a rounded output. float64 takes
  // the composition that other devices take too.
  it.each(
    rules.flatMap((rule) =>
      (
        [
          ['float32', 1e-5],
          ['float64', 1e-6],
          ['bfloat16', 0.1],
        ] as const
      ).map(([dtype, tolerance]) => ({ ...rule, dtype, tolerance })),
    ),
  )('is masked attention: window $window, cap $softCap, $dtype', ({ window, softCap, dtype, tolerance }) => {
    scope('attention', () => {
      const own = valueAndGradients(inputs(dtype), (...[q, k, v]) =>
        treeAttention(q as Tensor, k as Tensor, v as Tensor, SEGMENTS, 0.8, { window, softCap }),
      );
      const wide = inputs(dtype).map((x) => noGrad(() => to_dtype(x, 'float64')));
      const plain = valueAndGradients(wide, (...[q, k, v]) =>
        plainAttention(q as Tensor, k as Tensor, v as Tensor, { scale: 0.8, window, softCap }),
      );
      own.forEach((values, i) => void expectNear(values, plain[i] ?? [], tolerance));
    });
  });

  // fp32: sums of up to 46 products. bf16 pages round keys and values, so that they are compared with rounded ones. float64
  // takes the composition that other devices take too.
  it.each(['float32', 'bfloat16', 'float64'] as const)(
    'of one new token against pages sees the same window of prompt and response (%s)',
    (dtype) => {
      scope('decode', () => {
        noGrad(() => {
          const type = dtype === 'float64' ? 'float64' : 'float32';
          const rounded = (x: Tensor): Tensor => to_dtype(to_dtype(x, dtype), 'float32');
          const [q, k, v] = inputs('float32') as [Tensor, Tensor, Tensor];
          // The path of the second level: the prompt's 19 tokens, then 21 + 6 of the sequence's own, in pages 5, 1 and 4, 0.
          const own = [...Array.from({ length: 21 }, (_, i) => 19 + i), ...Array.from({ length: 6 }, (_, i) => 41 + i)];
          const prompt = Array.from({ length: 19 }, (_, i) => i);
          const places = [
            ...prompt.map((i) => [5, 1][Math.floor(i / 16)] ?? Number.NaN).map((page, i) => page * 16 + (i % 16)),
            ...own.map((_, i) => ([4, 0][Math.floor(i / 16)] ?? Number.NaN) * 16 + (i % 16)),
          ];
          const rows = int64([...prompt, ...own]);
          const of = (x: Tensor): Tensor => to_dtype(index_select(x, 0, rows), type);
          // What no token was written to holds NaN, which must not be read.
          const keys = full([6, 2, 12, 16], Number.NaN, { dtype });
          const values = full([6, 2, 16, 12], Number.NaN, { dtype });
          writePages(keys, values, of(k), of(v), int64(places));
          for (const { window, softCap } of rules) {
            const expected = plainAttention(q, rounded(k), rounded(v), { scale: 0.8, window, softCap });
            for (const length of [1, 5, 16, 22, 27]) {
              const token = own[length - 1] ?? 0;
              const tables = int64([5, 1, 4, 0], { shape: [1, 4] });
              const found = pagedAttention(
                to_dtype(narrow(q, 0, token, 1), type),
                keys,
                values,
                tables,
                int64([19, length], { shape: [1, 2] }),
                0.8,
                { window, softCap },
              );
              expectNear(numbers(found), numbers(narrow(expected, 0, token, 1)), 3e-6);
            }
          }
        });
      });
    },
  );

  // Two trees, the first with a root of 64 tokens and two continuations.
  it.each(['float32', 'bfloat16', 'float64'] as const)(
    'is the same, bit for bit, behind a root that is known (%s)',
    (dtype) => {
      scope('known', () => {
        noGrad(() => {
          const [q, k, v] = ['q', 'k', 'v'].map((name, i) =>
            to_dtype(normals(name, [203, i === 0 ? 4 : 2, 24]), dtype),
          );
          if (q === undefined || k === undefined || v === undefined) throw new Error('Three inputs');
          const segments = [0, 64, -1, 64, 30, 0, 94, 15, 0, 109, 94, -1];
          for (const rule of [{}, { window: 40, softCap: 2 }]) {
            const all = treeAttention(q, k, v, segments, 0.3, rule);
            const found = treeAttentionWithKnown(narrow(q, 0, 64, 139), k, v, segments, [0], 0.3, rule);
            expect(numbers(found)).toEqual(numbers(narrow(all, 0, 64, 139)));
            const onePiece = treeAttention(
              narrow(q, 0, 0, 94),
              narrow(k, 0, 0, 94),
              narrow(v, 0, 0, 94),
              [0, 94, -1],
              0.3,
              rule,
            );
            // The composition leaves the order of sums to LibTorch.
            if (dtype !== 'float64' && hasOwnKernels) expect(numbers(onePiece)).toEqual(numbers(narrow(all, 0, 0, 94)));
          }
          expect(() => treeAttentionWithKnown(q, k, v, segments, [0], 0.3)).toThrow(/203 queries, expected 139/);
          expect(() => treeAttentionWithKnown(q, k, v, segments, [1], 0.3)).toThrow(/segment 1 is not a root/);
        });
      });
    },
  );

  it.each(['float32', 'bfloat16', 'float64'] as const)('reads back from pages what was written (%s)', (dtype) => {
    scope('read', () => {
      noGrad(() => {
        const [keys, values] = [zeros([3, 2, 8, 16], { dtype }), zeros([3, 2, 16, 8], { dtype })];
        const of = (name: string): Tensor =>
          to_dtype(normals(name, [20, 2, 8]), dtype === 'float64' ? dtype : 'float32');
        const [k, v] = [of('k'), of('v')];
        const places = int64(Array.from({ length: 20 }, (_, i) => (i * 7) % 48));
        writePages(keys, values, k, v, places);
        const [readKeys, readValues] = readPages(keys, values, places);
        expect([readKeys.dtype, numbers(readKeys)]).toEqual([dtype, numbers(to_dtype(k, dtype))]);
        expect(numbers(readValues)).toEqual(numbers(to_dtype(v, dtype)));
      });
    });
  });

  // Only our own kernels look at what a tensor of places holds: a device would have to wait for that.
  it.skipIf(!hasOwnKernels)('refuses pages that are not there', () => {
    scope('refused', () => {
      noGrad(() => {
        const [keys, values] = [zeros([2, 1, 8, 16]), zeros([2, 1, 16, 8])];
        const attend = (table: number[], lengths: number[]): Tensor =>
          pagedAttention(
            normals('q', [1, 1, 8]),
            keys,
            values,
            int64(table, { shape: [1, 2] }),
            int64(lengths, { shape: [1, 2] }),
            1,
          );
        expect(attend([0, 1], [16, 3]).shape).toEqual([1, 1, 8]);
        expect(() => attend([0, 2], [16, 3])).toThrow(/outside its pages/);
        expect(() => attend([0, 1], [17, 3])).toThrow(/outside its pages/);
        const one = normals('k', [1, 1, 8]);
        expect(() => writePages(keys, values, one, one, int64([32]))).toThrow(/place 32 of 32/);
        expect(() => readPages(keys, values, int64([32]))).toThrow(/place 32 of 32/);
      });
    });
  });
});
