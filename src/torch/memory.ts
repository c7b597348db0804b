/** @file How much native memory is in use: the census that tests hold constant, and the peaks that metrics report. */
import { native } from './native.ts';

export interface MemoryStatistics {
  /** Tensor handles alive. */
  liveTensors: number;
  /** Bytes of tensors on the CPU now, and at most since the last reset. */
  tensorBytes: number;
  peakTensorBytes: number;
  /** Largest resident set of the process so far. */
  peakResidentBytes: number;
  threads: number;
}

export function memoryStatistics(): MemoryStatistics {
  const [liveTensors, tensorBytes, peakTensorBytes, peakResidentBytes, threads] = native().statistics();
  return { liveTensors, tensorBytes, peakTensorBytes, peakResidentBytes, threads };
}

/** Bytes of tensors on a device now and at most, as LibTorch's allocator counts them; null on the CPU, and where it counts nothing. */
export function deviceMemory(device: string): { bytes: number; peakBytes: number } | null {
  const counted = device === 'cpu' ? null : native().deviceMemory(device);
  return counted === null ? null : { bytes: counted[0], peakBytes: counted[1] };
}

/** Starts a new measurement of the peak, on the CPU and on `device`. */
export function resetPeak(device = 'cpu'): void {
  native().resetPeak(device);
}

/** For tests: the n-th allocation from now on fails once (0 is the next one); a negative number switches this off. */
export function failAllocation(countdown: number): void {
  native().failAllocation(countdown);
}
