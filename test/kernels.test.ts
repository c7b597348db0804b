/**
 * @file Our own kernels (native/kernels/) against the same thing said in LibTorch's operators: values and gradients of gated
 * activations, soft caps, and attention over trees with windows and caps; and the composition that other types take.
 */
import { describe, expect, it } from 'vitest';
import { normalAt, randomKey, uniformAt } from '../src/random.ts';
import { backward, gradientOf, noGrad, requireGrad, setGradient } from '../src/torch/autograd.ts';
import type { Dtype } from '../src/torch/dtype.ts';
import { memoryStatistics } from '../src/torch/memory.ts';
import { setThreads } from '../src/torch/native.ts';
import {
  abs,
  add_Tensor,
  addProduct_,
  cat,
  full,
  gather,
  geglu,
  gelu,
  hasTiles,
  index_select,
  log_softmax_int,
  logProbGradient_,
  masked_fill_Scalar,
  matmul,
  mixedLinear,
  mixedLinears,
  mul_Scalar,
  mul_Tensor,
  narrow,
  packRows,
  pagedAttention,
  permute,
  readPages,
  repeat_interleave_self_int,
  rmsNorm,
  rotary,
  rowGated,
  rowLinear,
  rowLinears,
  sampleTokens,
  silu,
  softCap_,
  softmax_int,
  squeeze_dim,
  sum,
  swiglu,
  tanh,
  targetLogProbs,
  to_device,
  to_dtype,
  treeAttention,
  treeAttentionWithKnown,
  uniforms,
  unsqueeze,
  writePages,
  zeros,
} from '../src/torch/ops.ts';
import {
  float32,
  int64,
  scope,
  type Tensor,
  tensorFrom,
  toFloat32Array,
  toFloat64Array,
  toIntegers,
} from '../src/torch/tensor.ts';
import { isOnCpu, isPretended } from './support/device.ts';

/** Whether operators run in native/kernels/cpu: not on a device, nor where a test leaves them out. */
const hasOwnKernels = process.env.SELM_KERNELS !== 'composed' && isOnCpu;

function normals(name: string, shape: readonly number[], scale = 1): Tensor {
  const key = randomKey(11, name);
  const count = shape.reduce((product, length) => product * length, 1);
  const values = Float32Array.from({ length: count }, (_, i) => scale * normalAt(key, i));
  return tensorFrom(values, shape, 'float32');
}

const numbers = (x: Tensor): Float32Array => toFloat32Array(noGrad(() => to_dtype(x, 'float32')));

function expectNear(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  const worst = Array.from(expected).reduce((most, value, i) => {
    const difference = Math.abs(value - (actual[i] ?? Number.NaN)) / Math.max(1, Math.abs(value));
    return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(most, difference);
  }, 0);
  expect(worst).toBeLessThan(tolerance);
}

/** Values of `f` and its gradients by the inputs, for a fixed random direction of the output. */
function valueAndGradients(inputs: readonly Tensor[], f: (...inputs: Tensor[]) => Tensor): Float32Array[] {
  const leaves = inputs.map((input) => requireGrad(noGrad(() => mul_Scalar(input, 1))));
  const out = f(...leaves);
  backward([out], [noGrad(() => to_dtype(normals('direction', out.shape), out.dtype))]);
  return [out, ...leaves.map((leaf) => gradientOf(leaf) ?? out)].map(numbers);
}

const capped = (x: Tensor, cap: number): Tensor => (cap > 0 ? mul_Scalar(tanh(mul_Scalar(x, 1 / cap)), cap) : x);

describe('gated activations', () => {
  // 37 is no multiple of a vector's length; a scale of 3 reaches both flat ends.
  it.each([
    ['swiglu', swiglu, (gate: Tensor) => silu(gate)],
    ['geglu', geglu, (gate: Tensor) => gelu(gate, { approximate: 'tanh' })],
  ] as const)('%s is its activation times the other half', (_, kernel, activation) => {
    scope('gate', () => {
      const inputs = [normals('gate', [3, 37], 3), normals('up', [3, 37])];
      const own = valueAndGradients(inputs, (gate, up) => kernel(gate, up));
      const plain = valueAndGradients(inputs, (gate, up) => mul_Tensor(activation(gate), up));
      own.forEach((values, i) => void expectNear(values, plain[i] ?? [], 2e-6));
    });
  });

  it('geglu stays finite far out', () => {
    scope('gate', () => {
      const gate = float32([-1e4, -50, -10, 0, 10, 50, 1e4]);
      expectNear(numbers(geglu(gate, float32(Array(7).fill(1)))), [0, 0, 0, 0, 10, 50, 1e4], 1e-6);
    });
  });
});

describe('soft caps', () => {
  it('softCap_() is cap * tanh(x / cap), close to zero and far out', () => {
    scope('cap', () => {
      const x = [...Array.from({ length: 81 }, (_, i) => (i - 40) / 4), 1e-6, -1e-6, 200, -1e9];
      const expected = x.map((value) => 5 * Math.tanh(value / 5));
      const values = numbers(softCap_(float32(x), 5));
      expectNear(values, expected, 5e-7);
      // Small numbers keep their relative precision.
      expect(Math.abs((values[81] ?? 0) / 1e-6 - 1)).toBeLessThan(1e-6);
    });
  });

  it.each(['float32', 'float64'] as const)('logProbGradient_() goes through the cap in %s', (dtype) => {
    scope('head', () => {
      const [rows, width, cap] = [4, 21, 3];
      const logits = to_dtype(normals('logits', [rows, width], 4), dtype);
      const targets = int64([0, 20, 7, 16]);
      const factors = float32([1, -2, 0.5, 0.25]);
      const leaf = requireGrad(noGrad(() => mul_Scalar(logits, 1)));
      const chosen = squeeze_dim(gather(log_softmax_int(capped(leaf, cap), -1), 1, unsqueeze(targets, 1)), 1);
      const one = noGrad(() => to_dtype(tensorFrom(Float32Array.of(1), [], 'float32'), dtype));
      backward([sum(mul_Tensor(chosen, to_dtype(factors, dtype)))], [one]);
      noGrad(() => {
        const own = softCap_(logits, cap);
        const [logProbs, normalisers] = targetLogProbs(own, targets);
        expectNear(numbers(logProbs), numbers(chosen), 2e-6);
        const gradient = logProbGradient_(own, targets, normalisers, factors, { softCap: cap });
        expectNear(numbers(gradient), numbers(gradientOf(leaf) ?? gradient), 2e-6);
      });
    });
  });
});

/** Cosine of the angle between two lists of numbers. */
function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const dot = (x: ArrayLike<number>, y: ArrayLike<number>): number =>
    Array.from(x).reduce((sum, value, i) => sum + value * (y[i] ?? Number.NaN), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

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

// What a device without kernels computes is LibTorch's, whose bits depend on the number of rows.
describe.skipIf(!hasOwnKernels)('the product by rows', () => {
  const wide = (x: Tensor): Tensor => to_dtype(x, 'float64');
  const bf16 = (x: Tensor): Tensor => to_dtype(x, 'bfloat16');

  // fp32: sums of 40 products; in a sanitized build the compiler adds them up in another order (1.2e-6 there). float64 takes
  // the composition that other devices take too.
  const isSanitized = process.env.ASAN_OPTIONS !== undefined;
  it.each([
    ['float32', isSanitized ? 3e-6 : 1e-6],
    ['float64', 1e-6],
  ] as const)('is a product with the transposed weights, plus bias (%s)', (dtype, tolerance) => {
    scope('rows', () => {
      noGrad(() => {
        const [x_TI, weight_OI, bias_O] = [normals('x', [5, 40]), normals('w', [70, 40]), normals('b', [70])];
        const found = rowLinear(to_dtype(x_TI, dtype), packRows([to_dtype(weight_OI, dtype)]), 70, {
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

  // The activation is the same function on the same sums; in bf16 the result is rounded as the next product would round it.
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
        expect(numbers(found)).toEqual(numbers(arithmetic === 'float32' ? steps : bf16(steps)));
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
        const x_TI = normals('x', [300, 70]);
        const packed = packRows([bf16(normals('w', [45, 70]))]);
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

describe('the choice of a token', () => {
  // 3,000 tokens: more than a block of sums, and no whole number of vectors.
  const V = 3001;
  const DRAWS = 20_000;
  const logits = Float64Array.from({ length: V }, (_, i) => 3 * normalAt(randomKey(12), i));
  const doubles = (values: readonly number[]): Tensor =>
    tensorFrom(Float64Array.from(values), [values.length], 'float64');

  /** Exact probabilities: temperature, then top-k, then the nucleus of what is left. */
  function exact({
    temperature,
    topK,
    topP,
  }: {
    temperature: number;
    topK: number;
    topP: number;
  }): Map<number, number> {
    const top = Math.max(...logits);
    const weights = Array.from(logits, (logit, id) => ({
      id,
      weight: Math.exp((Math.fround(logit) - top) / temperature),
    }));
    weights.sort((a, b) => b.weight - a.weight);
    const left = topK > 0 ? weights.slice(0, topK) : weights;
    const mass = left.reduce((sum, each) => sum + each.weight, 0);
    let covered = 0;
    const kept = left.filter((each) => {
      const before = covered;
      covered += each.weight;
      return before === 0 || before < topP * mass;
    });
    const share = kept.reduce((sum, each) => sum + each.weight, 0);
    return new Map(kept.map(({ id, weight }) => [id, weight / share]));
  }

  // Uniform numbers on a grid: a token's share is its probability to within one draw at each end of its range, and a
  // token that a filter leaves out is never drawn. fp32 weights of 3,000 tokens add an error of 1e-6.
  it.each([
    { temperature: 1, topK: 0, topP: 1 },
    { temperature: 0.7, topK: 0, topP: 1 },
    { temperature: 1, topK: 40, topP: 1 },
    { temperature: 1, topK: 0, topP: 0.9 },
    { temperature: 1.3, topK: 100, topP: 0.8 },
    { temperature: 1, topK: 500, topP: 0.5 },
  ])('has the exact shares: temperature $temperature, topK $topK, topP $topP', (settings) => {
    const expected = exact(settings);
    const counts = new Map<number, number>();
    scope('draw', () => {
      const row = tensorFrom(Float32Array.from(logits), [1, V], 'float32');
      for (let begin = 0; begin < DRAWS; begin += 500) {
        scope('some', () => {
          const rows = repeat_interleave_self_int(row, 500, { dim: 0 });
          const uniforms = doubles(Array.from({ length: 500 }, (_, i) => (begin + i + 0.5) / DRAWS));
          const [ids] = sampleTokens(rows, settings.temperature, settings.topK, settings.topP, uniforms);
          for (const id of toIntegers(ids)) counts.set(id, (counts.get(id) ?? 0) + 1);
        });
      }
    });
    for (const [id, count] of counts) {
      expect(Math.abs(count - (expected.get(id) ?? Number.NaN) * DRAWS)).toBeLessThan(1 + 1e-6 * DRAWS + 1e-3);
    }
  });

  it('goes by the uniform numbers of src/random.ts, bit for bit', () => {
    const counters = [0, 1, 77, 2 ** 32 + 5, 2 ** 53 - 1];
    const keys = counters.map((counter) => randomKey(3, counter));
    scope('uniforms', () => {
      const words = keys.flatMap(({ key0, key1, stream0, stream1 }) => [key0, key1, stream0, stream1]);
      const found = uniforms(int64(words, { shape: [keys.length, 4] }), int64(counters));
      expect([...toFloat64Array(found)]).toEqual(keys.map((key, i) => uniformAt(key, counters[i] ?? Number.NaN)));
    });
  });

  it.each([
    [0, 0, 1],
    [1, 0, 1],
    [1, 3, 1],
    [1, 0, 0.5],
  ])(
    'of logits that are not finite is refused, or its log-probability is no number: %s, %s, %s',
    (temperature, topK, topP) => {
      scope('not finite', () => {
        const rows = Float32Array.from({ length: 80 }, (_, i) => (i === 7 ? Number.NaN : i === 50 ? Infinity : i % 5));
        const draw = (): [Tensor, Tensor] =>
          sampleTokens(tensorFrom(rows, [2, 40], 'float32'), temperature, topK, topP, doubles([0.2, 0.9]));
        if (process.env.SELM_KERNELS !== 'composed' && (isOnCpu || isPretended)) {
          expect(draw).toThrow('the logits of a row are not finite');
          return;
        }
        const [ids, logProbs] = draw();
        expect([...toFloat64Array(logProbs)]).toEqual([Number.NaN, Number.NaN]);
        // A row of the embedding that exists: the next pass may have begun with it.
        for (const id of toIntegers(ids)) expect(id).toBeLessThan(40);
      });
    },
  );

  it('takes the first of equal logits when greedy, and gives its log-probability', () => {
    scope('greedy', () => {
      const row = Float32Array.from({ length: 40 }, (_, i) => (i === 7 || i === 23 ? 2 : 0));
      const [ids, logProbs] = sampleTokens(tensorFrom(row, [1, 40], 'float32'), 0, 0, 1, doubles([0.9]));
      expect([...toIntegers(ids)]).toEqual([7]);
      // fp32 exponentials.
      expect(toFloat64Array(logProbs)[0]).toBeCloseTo(2 - Math.log(38 + 2 * Math.exp(2)), 6);
    });
  });
});

describe('a device without kernels', () => {
  it('computes the same operators by those of LibTorch', () => {
    scope('meta', () => {
      const on = (...shape: number[]): Tensor => noGrad(() => to_device(normals('x', shape), 'meta', 'float32'));
      const weights = packRows([on(40, 8)]);
      for (const [found, shape] of [
        [rmsNorm(on(5, 8), on(8), 1e-5), [5, 8]],
        [rotary(on(5, 2, 8), on(5, 4), on(5, 4)), [5, 2, 8]],
        [swiglu(on(5, 8), on(5, 8)), [5, 8]],
        [rowLinear(on(5, 8), weights, 40), [5, 40]],
      ] as const) {
        expect(found.device).toBe('meta');
        expect(found.shape).toEqual(shape);
      }
    });
  });
});

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

  // 270 rows of 32,000 numbers are more than a cache holds, and are written past it.
  it('of fp32 have the same bits where a result is too large for the cache', () => {
    scope('large', () => {
      noGrad(() => {
        const x_TI = normals('x', [270, 32]);
        const weight_OI = normals('w', [500, 32]);
        const all_VI = cat(Array<Tensor>(64).fill(weight_OI));
        const found = mixedLinear(x_TI, all_VI, all_VI);
        const last = numbers(narrow(found, 1, 63 * 500, 500));
        const alone = numbers(mixedLinear(x_TI, weight_OI, weight_OI));
        if (hasTiles(x_TI)) expect(last).toEqual(alone);
        else expectNear(last, alone, 1e-5);
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
