/** @file Tensors belong to scopes; mistakes have names; native memory is counted. */
import { describe, expect, it } from 'vitest';
import { backward, enableGrad, gradientOf, noGrad, requireGrad, requiresGrad } from './autograd.ts';
import { invoke, operator } from './invoke.ts';
import { failAllocation, memoryStatistics, resetPeak } from './memory.ts';
import { add_Tensor, mm, mul_Tensor, sum, zeros } from './ops.ts';
import {
  disposeAll,
  float32,
  int64,
  outlive,
  scope,
  type Tensor,
  tensorFrom,
  toBytes,
  toFloat32Array,
  toIntegers,
} from './tensor.ts';

describe('scope()', () => {
  it('frees every tensor of its body but those it returns', () => {
    const before = memoryStatistics();
    let inner: Tensor | null = null;
    const result = scope('test', () => {
      inner = float32([1, 2, 3]);
      return { list: [add_Tensor(inner, inner)], map: new Map([['a', float32([4])]]) };
    });
    expect(memoryStatistics().liveTensors).toBe(before.liveTensors + 2);
    expect(Array.from(toFloat32Array(result.list[0] as Tensor))).toEqual([2, 4, 6]);
    expect(() => (inner as unknown as Tensor).handle).toThrow('it was freed by scope "test"');
    disposeAll(result);
    expect(memoryStatistics().liveTensors).toBe(before.liveTensors);
    expect(memoryStatistics().tensorBytes).toBe(before.tensorBytes);
  });

  it('frees also when its body throws', () => {
    const before = memoryStatistics().liveTensors;
    expect(() =>
      scope('test', () => {
        float32([1]);
        throw new Error('stop');
      }),
    ).toThrow('stop');
    expect(memoryStatistics().liveTensors).toBe(before);
  });

  it('gives what it returns to the scope around it', () => {
    const before = memoryStatistics().liveTensors;
    scope('outer', () => void scope('inner', () => float32([1])));
    expect(memoryStatistics().liveTensors).toBe(before);
  });

  it('refuses an async body, whose scope would stay open across await', () => {
    expect(() => scope('test', async () => 1)).toThrow(expect.objectContaining({ code: 'SCOPE_ASYNC' }));
  });
});

describe('outlive()', () => {
  it('takes a tensor out of all open scopes', () => {
    const kept = scope('outer', () => {
      scope('inner', () => outlive(float32([5])));
      return outlive(float32([7]));
    });
    expect(toFloat32Array(kept)[0]).toBe(7);
    kept.dispose();
  });
});

describe('Tensor', () => {
  it('is freed at the end of a using block', () => {
    let seen: Tensor;
    {
      using tensor = float32([1]);
      seen = tensor;
    }
    expect(seen.isFreed).toBe(true);
  });

  it('says who freed it when it is used again', () => {
    const tensor = zeros([2, 3], { dtype: 'float32' });
    expect(tensor.shape).toEqual([2, 3]);
    tensor.dispose();
    tensor.dispose();
    expect(() => add_Tensor(tensor, tensor)).toThrow(
      expect.objectContaining({
        code: 'TENSOR_FREED',
        message: 'Cannot use a tensor of shape [2,3]: it was freed by dispose()',
      }),
    );
  });

  it('keeps bytes of every type through a round trip', () => {
    const bytes = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]);
    for (const [dtype, shape] of [
      ['uint8', [8]],
      ['bfloat16', [2, 2]],
      ['float32', [2]],
      ['float64', []],
      ['int64', [1]],
    ] as const) {
      using tensor = tensorFrom(bytes, shape, dtype);
      expect([tensor.dtype, tensor.shape, toBytes(tensor)]).toEqual([dtype, shape, bytes]);
    }
    using integers = int64([-1, 2 ** 40, -(2 ** 33) - 5, Number.MAX_SAFE_INTEGER]);
    expect(toIntegers(integers)).toEqual([-1, 2 ** 40, -(2 ** 33) - 5, Number.MAX_SAFE_INTEGER]);
    for (const none of [0.5, Number.NaN, 2 ** 53])
      expect(() => int64([1, none])).toThrow(`Cannot make an int64 tensor of ${none}`);
  });

  it('refuses bytes that do not fill its shape', () => {
    expect(() => tensorFrom(new Float32Array(3), [2, 2], 'float32')).toThrow(
      expect.objectContaining({ code: 'OPERATOR_FAILED' }),
    );
  });
});

describe('errors of operators', () => {
  it('name the operator and the shapes of a mismatch', () => {
    scope('test', () => {
      expect(() => mm(zeros([2, 3], { dtype: 'float32' }), zeros([2, 3], { dtype: 'float32' }))).toThrow(
        /^Cannot run aten::mm on \(float32\[2,3\], float32\[2,3\]\): .*mat1 and mat2 shapes cannot be multiplied/,
      );
    });
  });

  it('name an operator that this LibTorch does not have', () => {
    expect(() => invoke(operator('aten::no_such_operator', ''))).toThrow(
      expect.objectContaining({ code: 'OPERATOR_UNKNOWN' }),
    );
  });

  it('turn a failed allocation into OutOfMemoryError, and leak nothing', () => {
    const before = memoryStatistics();
    failAllocation(0);
    expect(() => scope('test', () => zeros([1000], { dtype: 'float32' }))).toThrow(
      expect.objectContaining({ code: 'OUT_OF_MEMORY', details: expect.objectContaining({ requestedBytes: 4000 }) }),
    );
    failAllocation(-1);
    expect(memoryStatistics().tensorBytes).toBe(before.tensorBytes);
  });

  it('turn an absurd request into OutOfMemoryError', () => {
    expect(() => zeros([2 ** 40, 2 ** 20], { dtype: 'float32' })).toThrow(
      expect.objectContaining({ code: 'OUT_OF_MEMORY' }),
    );
  });
});

describe('memory statistics', () => {
  it('count bytes now and at their peak', () => {
    resetPeak();
    const before = memoryStatistics();
    scope('test', () => void zeros([250_000], { dtype: 'float32' }));
    const after = memoryStatistics();
    expect(after.tensorBytes).toBe(before.tensorBytes);
    expect(after.peakTensorBytes - before.tensorBytes).toBeGreaterThanOrEqual(1_000_000);
  });
});

describe('automatic differentiation', () => {
  it('accumulates gradients in leaves', () => {
    scope('test', () => {
      const x = requireGrad(float32([3]));
      for (let i = 0; i < 2; i++) backward([sum(mul_Tensor(x, x))], [float32([1], { shape: [] })]);
      expect(Array.from(toFloat32Array(gradientOf(x) as Tensor))).toEqual([12]);
    });
  });

  it('records nothing in noGrad, and restores the mode also after an error', () => {
    scope('test', () => {
      const x = requireGrad(float32([3]));
      expect(requiresGrad(noGrad(() => mul_Tensor(x, x)))).toBe(false);
      expect(requiresGrad(noGrad(() => enableGrad(() => mul_Tensor(x, x))))).toBe(true);
      expect(() => noGrad(() => mm(x, x))).toThrow();
      expect(requiresGrad(mul_Tensor(x, x))).toBe(true);
    });
  });
});
