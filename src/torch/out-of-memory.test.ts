import { expect, it } from 'vitest';
import { readFailedAllocation } from './out-of-memory.ts';

it.each([
  [
    "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000 bytes. Error code 12",
    { requestedBytes: 4_000_000, device: 'cpu', freeBytes: null },
  ],
  [
    'CUDA out of memory. Tried to allocate 2.50 GiB. GPU 1 has a total capacity of 79.10 GiB of which 1.25 GiB is free. Including non-PyTorch memory, this process has 77.84 GiB memory in use.',
    { requestedBytes: 2.5 * 2 ** 30, device: 'cuda:1', freeBytes: 1.25 * 2 ** 30 },
  ],
  [
    'CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 15.77 GiB of which 512.00 KiB is free.',
    { requestedBytes: 20 * 2 ** 20, device: 'cuda:0', freeBytes: 512 * 2 ** 10 },
  ],
  ['std::bad_alloc', { requestedBytes: Number.NaN, device: 'cpu', freeBytes: null }],
])('reads a failed allocation: %s', (message, expected) => {
  expect(readFailedAllocation(message)).toEqual(expected);
});
