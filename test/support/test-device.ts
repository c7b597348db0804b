/**
 * @file SELM_TEST_DEVICE=cuda: what a test makes or opens without naming a device is made there (docs/gpu.md has the files that
 * are meant for it). Loaded by vitest before each test file where the variable is set.
 */
import { vi } from 'vitest';

const device = vi.hoisted(() => process.env.SELM_TEST_DEVICE ?? 'cpu');

vi.mock('../../src/torch/tensor.ts', async (importActual) => {
  const actual = await importActual<typeof import('../../src/torch/tensor.ts')>();
  return {
    ...actual,
    tensorFrom: (...[array, shape, dtype, on = device]: Parameters<typeof actual.tensorFrom>) =>
      actual.tensorFrom(array, shape, dtype, on),
    float32: (...[values, place]: Parameters<typeof actual.float32>) => actual.float32(values, { device, ...place }),
    int64: (...[values, place]: Parameters<typeof actual.int64>) => actual.int64(values, { device, ...place }),
  };
});

/** Operators that make tensors of nothing; their options come last. */
const MAKERS = ['empty', 'zeros', 'ones', 'full', 'arange', 'arange_start', 'scalar_tensor'];

vi.mock('../../src/torch/ops.ts', async (importActual) => {
  const actual = await importActual<Record<string, (...args: unknown[]) => unknown>>();
  const made = Object.entries(actual).flatMap(([name, make]) =>
    MAKERS.includes(name)
      ? [
          [
            name,
            // A default parameter, as the options are, does not count.
            (...args: unknown[]) => make(...args.slice(0, make.length), { device, ...Object(args[make.length]) }),
          ] as const,
        ]
      : [],
  );
  return { ...actual, ...Object.fromEntries(made) };
});

vi.mock('../../src/model/load.ts', async (importActual) => {
  const actual = await importActual<typeof import('../../src/model/load.ts')>();
  return {
    ...actual,
    loadModel: (directory: string, options = {}) => actual.loadModel(directory, { device, ...options }),
    withModel: <T>(...[directory, body, options = {}]: Parameters<typeof actual.withModel<T>>) =>
      actual.withModel(directory, body, { device, ...options }),
  };
});

if (device !== 'cpu') (await import('../../src/torch/device.ts')).requireDevice(device);
