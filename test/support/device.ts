/** @file Where tests' tensors lie: `SELM_TEST_DEVICE`, as test-device.ts puts it into effect. */

/** Whether the device is one of pretended-device.ts. */
export const isPretended: boolean = process.env.SELM_TEST_DEVICE === 'pretended';

/** `cpu`, or the device under test. */
export const testDevice: string = isPretended ? 'cuda' : (process.env.SELM_TEST_DEVICE ?? 'cpu');

/** Whether the bits, threads and counters of the CPU are what a test sees. */
export const isOnCpu: boolean = testDevice === 'cpu';
