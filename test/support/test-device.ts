/**
 * @file SELM_TEST_DEVICE=cuda: what a test makes or opens without naming a device is made there. What src/ makes without naming one stays
 * on the CPU, as it would in a run, and fails beside the rest. Loaded by vitest before each test file where the variable is set.
 */
import { vi } from 'vitest';

const { isPretended, testDevice } = await vi.hoisted(async () => import('./device.ts'));

/** The device for a caller that named none: the test's where a test calls, else what src/ has by default. */
const unnamed = vi.hoisted(() => (): string | undefined => {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 3;
  const caller = new Error('who calls').stack?.split('\n').at(3) ?? '';
  Error.stackTraceLimit = limit;
  return /\.test(ing)?\.ts|[/\\]test[/\\]/.test(caller) ? testDevice : undefined;
});

vi.mock('../../src/torch/native.ts', async (importActual) => {
  const actual = await importActual<typeof import('../../src/torch/native.ts')>();
  if (!isPretended) return actual;
  const { pretendedModule } = await import('./pretended-device.ts');
  return pretendedModule(actual);
});

vi.mock('../../src/torch/tensor.ts', async (importActual) => {
  const actual = await importActual<typeof import('../../src/torch/tensor.ts')>();
  return {
    ...actual,
    tensorFrom: (...[array, shape, dtype, on = unnamed()]: Parameters<typeof actual.tensorFrom>) =>
      actual.tensorFrom(array, shape, dtype, on),
    float32: (...[values, place]: Parameters<typeof actual.float32>) =>
      actual.float32(values, { ...place, device: place?.device ?? unnamed() }),
    int64: (...[values, place]: Parameters<typeof actual.int64>) =>
      actual.int64(values, { ...place, device: place?.device ?? unnamed() }),
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
            (...args: unknown[]) =>
              make(...args.slice(0, make.length), { device: unnamed(), ...Object(args[make.length]) }),
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
    loadModel: (directory: string, options: Parameters<typeof actual.loadModel>[1] = {}) =>
      actual.loadModel(directory, { device: unnamed() ?? 'cpu', ...options }),
    withModel: <T>(...[directory, body, options = {}]: Parameters<typeof actual.withModel<T>>) =>
      actual.withModel(directory, body, { device: unnamed() ?? 'cpu', ...options }),
  };
});

if (testDevice !== 'cpu') (await import('../../src/torch/device.ts')).requireDevice(testDevice);
