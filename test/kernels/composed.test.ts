/**
 * @file The tests of our operators once more, with the code that devices without kernels run (SELM_KERNELS=composed): attention
 * over trees by flash attention, of which the CPU has a reference, and everything else in LibTorch's operators.
 */
import { vi } from 'vitest';

vi.hoisted(() => {
  process.env.SELM_KERNELS = 'composed'; // before the addon is loaded
});

for (const name of ['elementwise', 'products', 'row-products', 'token-choice', 'tree-attention'])
  await import(`./${name}.test.ts`);
