/**
 * @file Every way to use a tensor in every state that it can be in: what works, and what is a TensorFreedError that says who
 * freed it. A row more here is owed by whoever adds a method or a way to be freed.
 */
import { describe, expect, it } from 'vitest';
import { backward, gradientOf, gradients, requireGrad, requiresGrad, setGradient } from './autograd.ts';
import { memoryStatistics } from './memory.ts';
import { native } from './native.ts';
import { add_Tensor, cat } from './ops.ts';
import { disposeAll, float32, outlive, scope, type Tensor, toBytes, toFloat32Array } from './tensor.ts';

/** Tensors that are alive, by how they came to be where they are. */
const ALIVE: Record<string, () => Tensor> = {
  'made outside of scopes': () => float32([1, 2]),
  'returned by its scope': () => scope('s', () => float32([1, 2])),
  'returned through two scopes': () => scope('outer', () => scope('inner', () => float32([1, 2]))),
  'kept out of its scope': () => {
    const kept: Tensor[] = [];
    scope('s', () => void kept.push(outlive(float32([1, 2]))));
    return first(kept);
  },
  'kept by a scope that threw': () => {
    const kept: Tensor[] = [];
    expect(() =>
      scope('s', () => {
        kept.push(outlive(float32([1, 2])));
        throw new Error('stop');
      }),
    ).toThrow('stop');
    return first(kept);
  },
};

/** Tensors that are freed, and who the error says did it. Their shapes were never asked for, unless the state says so. */
const FREED: Record<string, { make: () => Tensor; by: string }> = {
  'disposed of': { make: () => disposed(float32([1, 2])), by: 'dispose()' },
  'disposed of twice': { make: () => disposed(disposed(float32([1, 2]))), by: 'dispose()' },
  'disposed of with a reason': {
    make: () => {
      const tensor = float32([1, 2]);
      tensor.dispose('the next block');
      return tensor;
    },
    by: 'the next block',
  },
  'in a structure that was disposed of': {
    make: () => {
      const tensor = float32([1, 2]);
      disposeAll({ list: [new Map([['a', tensor]])] });
      return tensor;
    },
    by: 'dispose()',
  },
  'left behind by its scope': { make: () => leftBehind(() => float32([1, 2])), by: 'scope "s"' },
  'left behind by a scope around the one that returned it': {
    make: () => leftBehind(() => scope('inner', () => float32([1, 2]))),
    by: 'scope "s"',
  },
  'left behind by a scope that threw': {
    make: () => {
      const made: Tensor[] = [];
      expect(() =>
        scope('s', () => {
          made.push(float32([1, 2]));
          throw new Error('stop');
        }),
      ).toThrow('stop');
      return first(made);
    },
    by: 'scope "s"',
  },
  'disposed of inside its scope, which then ended': {
    make: () => leftBehind(() => disposed(float32([1, 2]))),
    by: 'dispose()',
  },
  'kept, then disposed of': { make: () => disposed(scope('s', () => outlive(float32([1, 2])))), by: 'dispose()' },
  'past its using block': {
    make: () => {
      const made: Tensor[] = [];
      {
        using tensor = float32([1, 2]);
        made.push(tensor);
      }
      return first(made);
    },
    by: 'the end of its `using` block',
  },
};

/** Uses that need the tensor's numbers or its place in a graph. */
const USES: Record<string, (tensor: Tensor) => unknown> = {
  handle: (tensor) => tensor.handle,
  shape: (tensor) => tensor.shape,
  dtype: (tensor) => tensor.dtype,
  device: (tensor) => tensor.device,
  size: (tensor) => tensor.size,
  'toBytes()': (tensor) => toBytes(tensor),
  'toFloat32Array()': (tensor) => toFloat32Array(tensor),
  'an operator': (tensor) => add_Tensor(tensor, float32([1, 2])),
  'an operator of a list': (tensor) => cat([float32([1]), tensor]),
  'requireGrad()': (tensor) => requireGrad(tensor),
  'requiresGrad()': (tensor) => requiresGrad(tensor),
  'gradientOf()': (tensor) => gradientOf(tensor),
  'setGradient()': (tensor) => setGradient(tensor, null),
  'setGradient() of another': (tensor) => setGradient(requireGrad(float32([1, 2])), tensor),
  'backward()': (tensor) => backward([add_Tensor(requireGrad(tensor), tensor)], [float32([1, 1])]),
  'backward() from it': (tensor) => {
    const x = requireGrad(float32([1, 2]));
    backward([add_Tensor(x, x)], [tensor]);
  },
  'gradients()': (tensor) => {
    requireGrad(tensor);
    gradients([add_Tensor(tensor, tensor)], [tensor], [float32([1, 1])]);
  },
};

/** Uses that are right in every state. */
const ALWAYS: Record<string, (tensor: Tensor) => unknown> = {
  'dispose()': (tensor) => tensor.dispose(),
  '[Symbol.dispose]()': (tensor) => tensor[Symbol.dispose](),
  'disposeAll()': (tensor) => disposeAll([tensor]),
  'outlive()': (tensor) => outlive(tensor),
  'returning it from a scope': (tensor) => scope('another', () => tensor),
};

function first(tensors: readonly Tensor[]): Tensor {
  const [tensor] = tensors;
  if (tensor === undefined) throw new Error('no tensor was made');
  return tensor;
}

function disposed(tensor: Tensor): Tensor {
  tensor.dispose();
  return tensor;
}

/** A tensor made in a scope that ended. */
function leftBehind(make: () => Tensor): Tensor {
  const made: Tensor[] = [];
  scope('s', () => void made.push(make()));
  return first(made);
}

/** Runs in a scope, so that what the uses make is freed; the census before and after must agree. */
function leakless(body: () => void): void {
  const before = memoryStatistics().liveTensors;
  scope('test', body);
  expect(memoryStatistics().liveTensors).toBe(before);
}

describe.each(Object.keys(ALIVE))('a tensor %s', (state) => {
  const make = ALIVE[state] ?? (() => float32([]));

  it.each(Object.keys(USES))('is alive for %s', (use) => {
    leakless(() => {
      const tensor = make();
      expect(tensor.isFreed).toBe(false);
      USES[use]?.(tensor);
      expect(tensor.isFreed).toBe(false);
      tensor.dispose();
    });
  });

  it.each(Object.keys(ALWAYS))('takes %s', (use) => {
    leakless(() => {
      const tensor = make();
      ALWAYS[use]?.(tensor);
      expect(tensor.isFreed).toBe(/dispose/i.test(use));
      tensor.dispose();
    });
  });
});

describe.each(Object.entries(FREED))('a tensor %s', (_, { make, by }) => {
  it.each(Object.keys(USES))('is refused by %s, with who freed it', (use) => {
    leakless(() => {
      const tensor = make();
      expect(tensor.isFreed).toBe(true);
      expect(() => USES[use]?.(tensor)).toThrow(
        expect.objectContaining({
          name: 'TensorFreedError',
          code: 'TENSOR_FREED',
          message: expect.stringContaining(`it was freed by ${by}`),
        }),
      );
    });
  });

  it.each(Object.keys(ALWAYS))('takes %s, which changes nothing', (use) => {
    leakless(() => {
      const tensor = make();
      ALWAYS[use]?.(tensor);
      expect(tensor.isFreed).toBe(true);
      expect(() => tensor.handle).toThrow(`it was freed by ${by}`);
    });
  });
});

describe('a freed tensor', () => {
  it('still knows its shape, type and device where they were asked for before', () => {
    const tensor = float32([1, 2]);
    expect(tensor.shape).toEqual([2]);
    tensor.dispose();
    expect([tensor.shape, tensor.dtype, tensor.device, tensor.size]).toEqual([[2], 'float32', 'cpu', 2]);
  });

  it('is not mistaken for the next one, which takes its place in the table', () => {
    const old = float32([1, 2]);
    const { handle } = old;
    old.dispose();
    using next = float32([3, 4]);
    expect(next.handle).not.toBe(handle);
    expect(() => native().describe(handle)).toThrow(expect.objectContaining({ code: 'SELM_TENSOR_FREED' }));
    expect(native().free(handle)).toBe(false);
    expect(Array.from(toFloat32Array(next))).toEqual([3, 4]);
  });

  it.each([Number.NaN, Infinity, -1, 0, 2 ** 53, 1.5])(
    'and a handle that never was, %s, are told apart from tensors',
    (handle) => {
      expect(() => native().describe(handle)).toThrow(expect.objectContaining({ code: 'SELM_TENSOR_FREED' }));
      expect(native().free(handle)).toBe(false);
    },
  );
});
