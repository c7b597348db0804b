/**
 * @file The kernels for NVIDIA cards (native/kernels/cuda) against those of the CPU, on the same numbers: values and gradients, in fp32
 * and bf16, at shapes that the kernels take. They need a card: SELM_TEST_DEVICE=cuda.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { normaliseConfig } from '../../src/model/read-config.ts';
import { expectedWeights } from '../../src/model/weights.ts';
import { normalAt, randomKey, uniformAt } from '../../src/random.ts';
import { layRows } from '../../src/sample/layout.ts';
import { pagesFor } from '../../src/sample/pages.ts';
import { decode, openCache, openSampler, prefill } from '../../src/sample/sampler.ts';
import { backward, gradientOf, noGrad, requireGrad } from '../../src/torch/autograd.ts';
import { requireDevice } from '../../src/torch/device.ts';
import type { Dtype } from '../../src/torch/dtype.ts';
import { deviceMemory, resetPeak } from '../../src/torch/memory.ts';
import {
  addProduct_,
  geglu,
  logProbGradient_,
  mixedLinear,
  pagedAttention,
  permute,
  rmsNorm,
  rotary,
  roundedAdamw_,
  swiglu,
  targetLogProbs,
  to_device,
  to_dtype,
  treeAttention,
  zeros,
} from '../../src/torch/ops.ts';
import { scope, type Tensor, tensorFrom, toFloat32Array } from '../../src/torch/tensor.ts';
import { testDevice as device, isOnCpu, isPretended } from '../support/device.ts';

function normals(name: string, shape: readonly number[], scale = 1): Tensor {
  const key = randomKey(12, name);
  const count = shape.reduce((product, length) => product * length, 1);
  return tensorFrom(
    Float32Array.from({ length: count }, (_, i) => scale * normalAt(key, i)),
    shape,
    'float32',
    'cpu',
  );
}
const integers = (values: readonly number[], shape: readonly number[]): Tensor =>
  tensorFrom(BigInt64Array.from(values, BigInt), shape, 'int64', 'cpu');
const on = (x: Tensor, where: string): Tensor => noGrad(() => to_device(x, where, x.dtype, { copy: true }));
const numbers = (x: Tensor): Float32Array => toFloat32Array(noGrad(() => to_device(x, 'cpu', 'float32')));

/** Difference of two vectors, of the length of the second. */
function distance(found: Float32Array, expected: Float32Array): number {
  expect(found.length).toBe(expected.length);
  let [difference, length] = [0, 0];
  expected.forEach((value, i) => {
    difference += (value - (found[i] ?? Number.NaN)) ** 2;
    length += value ** 2;
  });
  return Math.sqrt(difference / Math.max(length, 1e-30));
}

/** Values, and the gradients by the inputs for a random direction, where a computation has them. */
function results(inputs: readonly Tensor[], where: string, compute: (inputs: Tensor[]) => Tensor): Float32Array[] {
  const leaves = inputs.map((input) => requireGrad(on(input, where)));
  const out = compute(leaves);
  backward(
    [out],
    [
      on(
        noGrad(() => to_dtype(normals('direction', out.shape), out.dtype)),
        where,
      ),
    ],
  );
  return [out, ...leaves.flatMap((leaf) => gradientOf(leaf) ?? [])].map(numbers);
}

// fp32 on both sides: sums in another order, and the card's exponentials. bf16 is rounded once at the end of each: 2^-9 of each number.
const NEAR: readonly [Dtype, number][] = [
  ['float32', 1e-5],
  ['bfloat16', 4e-3],
];

describe.skipIf(isOnCpu || isPretended)('a kernel for NVIDIA cards computes what the CPU computes', () => {
  beforeAll(() => requireDevice(device));

  const segments = [0, 70, -1, 70, 45, 0, 115, 33, 0, 148, 1, -1, 149, 64, 3];
  const cases: Record<string, { shapes: number[][]; compute: (inputs: Tensor[], where: string) => Tensor }> = {
    norm: {
      shapes: [[33, 2052]],
      compute: ([x], where) => rmsNorm(x as Tensor, on(normals('weight', [2052]), where), 1e-5),
    },
    rotation: {
      shapes: [[33, 6, 64]],
      compute: ([x], where) =>
        rotary(x as Tensor, on(normals('cos', [33, 32]), where), on(normals('sin', [33, 32]), where)),
    },
    swiglu: {
      shapes: [
        [33, 516],
        [33, 516],
      ],
      compute: ([gate, up]) => swiglu(gate as Tensor, up as Tensor),
    },
    geglu: {
      shapes: [
        [33, 516],
        [33, 516],
      ],
      compute: ([gate, up]) => geglu(gate as Tensor, up as Tensor),
    },
    'a norm of rows as wide as a block of threads can hold': {
      shapes: [[3, 12288]],
      compute: ([x], where) => rmsNorm(x as Tensor, on(normals('weight', [12288]), where), 1e-5),
    },
    'swiglu of more rows than the second dimension of a grid has': {
      shapes: [
        [65_600, 4],
        [65_600, 4],
      ],
      compute: ([gate, up]) => swiglu(gate as Tensor, up as Tensor),
    },
    product: {
      shapes: [
        [65, 128],
        [96, 128],
      ],
      compute: ([x, w]) => mixedLinear(x as Tensor, w as Tensor, w as Tensor),
    },
    'attention over trees': {
      shapes: [
        [213, 6, 64],
        [213, 2, 64],
        [213, 2, 64],
      ],
      compute: ([q, k, v]) => treeAttention(q as Tensor, k as Tensor, v as Tensor, segments, 0.125, {}),
    },
    'attention over trees with a window': {
      shapes: [
        [213, 6, 64],
        [213, 2, 64],
        [213, 2, 64],
      ],
      compute: ([q, k, v]) => treeAttention(q as Tensor, k as Tensor, v as Tensor, segments, 0.125, { window: 50 }),
    },
  };
  it.each(
    Object.entries(cases).flatMap(([name, each]) => NEAR.map(([dtype, near]) => ({ name, dtype, near, ...each }))),
  )('$name in $dtype, and its gradients', ({ shapes, dtype, near, compute }) => {
    scope('case', () => {
      const inputs = noGrad(() => shapes.map((shape, i) => to_dtype(normals(`input ${i}`, shape), dtype)));
      const expected = results(
        noGrad(() => inputs.map((input) => to_dtype(input, 'float32'))),
        'cpu',
        (leaves) => compute(leaves, 'cpu'),
      );
      results(inputs, device, (leaves) => compute(leaves, device)).forEach((found, i) => {
        expect(distance(found, expected[i] ?? found)).toBeLessThan(near);
      });
    });
  });

  it.each(NEAR.flatMap(([dtype, near]) => [130, 4096].map((width) => ({ dtype, near, width }))))(
    'log-probabilities of $width tokens in $dtype, and their gradient',
    ({ dtype, near, width }) => {
      scope('logits', () =>
        noGrad(() => {
          const of = (where: string): Float32Array[] => {
            const logits = on(to_dtype(normals('logits', [5, width], 3), dtype), where);
            const targets = on(integers([0, width - 1, 7, 64, 129], [5]), where);
            const [logProbs, normalisers] = targetLogProbs(logits, targets);
            const coefficients = on(normals('coefficients', [5]), where);
            return [
              ...[logProbs, normalisers].map(numbers),
              ...[logProbGradient_(logits, targets, normalisers, coefficients, { softCap: 20 })].map(numbers),
            ];
          };
          const expected = of('cpu');
          of(device).forEach((found, i) => {
            expect(distance(found, expected[i] ?? found)).toBeLessThan(near);
          });
        }),
      );
    },
  );

  it.each(
    [
      [128, 4],
      [64, 3],
      [64, 7],
      [32, 1],
      // More than a block of threads has memory for: by LibTorch's operators.
      [64, 32],
    ].flatMap(([width = 0, group = 0]) =>
      [{}, { window: 40 }, { softCap: 2 }].flatMap((rule) =>
        NEAR.map(([dtype]) => ({ width, group, rule, dtype, text: JSON.stringify(rule) })),
      ),
    ),
  )('attention over pages of $dtype: heads of $width, $group to a key, $text', ({ width, group, rule, dtype }) => {
    scope('pages', () =>
      noGrad(() => {
        const [pages, keyHeads] = [23, 2];
        const of = (where: string): Float32Array => {
          const q = on(normals('q', [3, keyHeads * group, width]), where);
          const keys = on(to_dtype(normals('keys', [pages, keyHeads, width, 16]), dtype), where);
          const values = on(to_dtype(normals('values', [pages, keyHeads, 16, width]), dtype), where);
          const tables = on(
            integers(
              Array.from({ length: 27 }, (_, i) => (i * 5) % pages),
              [3, 9],
            ),
            where,
          );
          // Prompts that end inside a page and at its end; one sequence has no prompt.
          const lengths = on(integers([37, 60, 64, 1, 0, 90], [3, 2]), where);
          return numbers(pagedAttention(q, keys, values, tables, lengths, width ** -0.5, rule));
        };
        // Both read the same rounded pages and compute in fp32.
        expect(distance(of(device), of('cpu'))).toBeLessThan(1e-5);
      }),
    );
  });

  it('the gradient of more rows of logits than the second dimension of a grid has', () => {
    scope('rows', () =>
      noGrad(() => {
        const rows = 65_600;
        const of = (where: string): Float32Array => {
          const logits = on(normals('logits', [rows, 8]), where);
          const targets = on(integers(Array<number>(rows).fill(3), [rows]), where);
          const coefficients = on(normals('coefficients', [rows]), where);
          const [, normalisers] = targetLogProbs(logits, targets);
          return numbers(logProbGradient_(logits, targets, normalisers, coefficients, {}));
        };
        expect(distance(of(device), of('cpu'))).toBeLessThan(1e-5);
      }),
    );
  });

  it('sums of products in bf16 that are added up in fp32 where they lie', () => {
    scope('sum', () =>
      noGrad(() => {
        const of = (where: string): Float32Array => {
          const [dy, x] = ['dy', 'x'].map((name) => on(to_dtype(normals(name, [2100, 64]), 'bfloat16'), where));
          const sum = on(normals('sum', [64, 64]), where);
          return numbers(addProduct_(sum, permute(dy as Tensor, [1, 0]), x as Tensor));
        };
        // fp32 holds sums of 2,100 products to 1e-6 of their size; a sum that went through bf16 would be off by 2e-3.
        expect(distance(of(device), of('cpu'))).toBeLessThan(1e-5);
      }),
    );
  });

  it('the update of bf16 weights, bit by bit', () => {
    scope('update', () =>
      noGrad(() => {
        const of = (where: string): number[][] => {
          const make = (name: string, scale: number): Tensor =>
            on(to_dtype(normals(name, [1001], scale), 'bfloat16'), where);
          const [master, gradient, first] = [make('master', 1), make('gradient', 0.1), make('first', 0.01)];
          const second = on(
            to_dtype(
              tensorFrom(
                Float32Array.from({ length: 1001 }, (_, i) => 1e-4 * uniformAt(randomKey(5, 'second'), i)),
                [1001],
                'float32',
                'cpu',
              ),
              'bfloat16',
            ),
            where,
          );
          roundedAdamw_(master, gradient, first, second, 3, 1e-3, 0.9, 0.999, 0.01, 1e-8, [1, 2, 3, 4], {
            firstElement: 7,
          });
          return [master, first, second].map((x) => [...numbers(x)]);
        };
        const expected = of('cpu');
        of(device).forEach((values, i) => {
          // The two may divide and take roots in another last place, which moves one in some thousand roundings.
          const off = values.filter((value, j) => value !== expected[i]?.[j]).length;
          expect(off).toBeLessThan(5);
        });
      }),
    );
  });

  it.each(['float32', 'bfloat16'] as const)(
    'the logits of a decoder in %s, after a prompt and after the next token',
    (dtype) => {
      scope('decoder', () => {
        const config = normaliseConfig(
          {
            architectures: ['LlamaForCausalLM'],
            model_type: 'llama',
            hidden_size: 256,
            intermediate_size: 352,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            vocab_size: 320,
            max_position_embeddings: 128,
            rms_norm_eps: 1e-5,
            hidden_act: 'silu',
            tie_word_embeddings: false,
          },
          'a test',
        );
        const of = (where: string): Float32Array[] => {
          const weights = new Map(
            [...expectedWeights(config)].map(([name, shape]) => [
              name,
              on(
                noGrad(() => to_dtype(normals(name, shape, shape.length === 1 ? 1 : 0.06), dtype)),
                where,
              ),
            ]),
          );
          const sampler = openSampler({ config, weights }, { dtype });
          const cache = openCache(sampler, 64);
          try {
            const ids = Array.from({ length: 37 }, (_, i) => (i * 31) % 320);
            const pages = cache.pages.take(pagesFor(ids.length));
            const own = cache.pages.take(1);
            const after = prefill(sampler, cache, [{ ids, pages, known: 0 }]);
            const row = { prompt: { pages, length: ids.length }, pages: own, position: 0, key: randomKey(0) };
            const layout = layRows([row], { config, device: where, length: cache.length });
            return [after, decode(sampler, cache, layout, on(integers([7], [1]), where))].map(numbers);
          } finally {
            cache.dispose();
            sampler.dispose();
          }
        };
        const expected = of('cpu');
        of(device).forEach((found, i) => {
          // Two blocks round what they multiply to bf16 ten times.
          expect(distance(found, expected[i] ?? found)).toBeLessThan(dtype === 'float32' ? 1e-4 : 2e-2);
        });
      });
    },
  );
});

it.skipIf(isOnCpu || isPretended)('a new measurement of the peak forgets what was freed on the card before it', () => {
  const bytes = 64 * 2 ** 20;
  scope('large', () => void on(zeros([bytes / 4]), device));
  const before = deviceMemory(device)?.peakBytes ?? 0;
  resetPeak(device);
  expect((deviceMemory(device)?.peakBytes ?? before) + bytes).toBeLessThanOrEqual(before);
});
