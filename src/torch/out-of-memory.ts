/** @file The numbers in LibTorch's message when the memory of the CPU or of a card runs out. Pure. */

const UNITS: Readonly<Record<string, number>> = { bytes: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** A failed allocation. */
export interface FailedAllocation {
  /** NaN where the message does not say. */
  requestedBytes: number;
  /** `cpu`, or `cuda:0`. */
  device: string;
  /** Free bytes of the card; null of the CPU. */
  freeBytes: number | null;
}

/**
 * The CPU's allocator says `you tried to allocate 64 bytes`, CUDA's `Tried to allocate 2.00 GiB. GPU 0 has a total capacity
 * of 79.10 GiB of which 1.25 GiB is free.`
 */
export function readFailedAllocation(message: string): FailedAllocation {
  const [, amount = '', unit = ''] = /allocate ([\d.]+) (bytes|KiB|MiB|GiB)/i.exec(message) ?? [];
  const [, card] = /GPU (\d+) has a total capacity/.exec(message) ?? [];
  const [, free = '', freeUnit = ''] = /of which ([\d.]+) (bytes|KiB|MiB|GiB) is free/.exec(message) ?? [];
  const bytes = (value: string, of: string): number =>
    value === '' ? Number.NaN : Math.round(Number(value) * (UNITS[of] ?? 1));
  return {
    requestedBytes: bytes(amount, unit),
    device: card === undefined ? 'cpu' : `cuda:${card}`,
    freeBytes: card === undefined ? null : bytes(free, freeUnit),
  };
}
