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

/** Starts a new measurement of the peak. */
export function resetPeak(): void {
  native().resetPeak();
}

/** For tests: the n-th allocation from now on fails once (0 is the next one); a negative number switches this off. */
export function failAllocation(countdown: number): void {
  native().failAllocation(countdown);
}
