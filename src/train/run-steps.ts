/**
 * @file The frame around all steps of a training: checkpoints at intervals, and a stop that loses nothing. What a step does
 * is the caller's.
 */
import { InterruptedError } from '../errors.ts';
import type { Policy } from '../score/policy.ts';
import type { Activations } from '../score/stream.ts';
import { memoryStatistics } from '../torch/memory.ts';
import { saveCheckpoint } from './checkpoint.ts';
import type { AdamWSettings, OptimiserState } from './optimiser.ts';

/** Metrics of one step under TRL's names, with units in the names where TRL has none. */
export type StepMetrics = Record<string, number>;

export interface StepsInput<Item> {
  policy: Policy;
  optimiser: OptimiserState;
  /** What every step trains on. */
  steps: readonly (readonly Item[])[];
  /** Steps already done (a restored checkpoint). */
  firstStep: number;
  /** Folder of checkpoints, and what they belong to. */
  checkpoints: { folder: string; plan: string };
  signal?: AbortSignal | undefined;
}

/** How steps are made, whatever they train on. */
export interface Optimisation {
  adamW: AdamWSettings;
  /** Learning rate of each step, from 0. */
  learningRateAt: (step: number) => number;
  maxGradientNorm: number | null;
  microBatchTokens: number;
  activations: Activations;
  checkpointEverySteps: number;
}

/**
 * Runs all steps that are left; gives out each one's metrics once its update is made. InterruptedError after the step in
 * which the signal was aborted, with the state saved.
 */
export async function* runSteps<Item>(
  input: StepsInput<Item>,
  { checkpointEverySteps }: Pick<Optimisation, 'checkpointEverySteps'>,
  runStep: (items: readonly Item[], step: number) => StepMetrics,
): AsyncGenerator<{ step: number; metrics: StepMetrics }> {
  const { policy, optimiser, steps, checkpoints } = input;
  for (let step = input.firstStep; step < steps.length; step++) {
    yield { step, metrics: runStep(steps[step] ?? [], step) };
    // Signals and readers of events have their turn here, so that a wish to stop is heard after this step, not the next.
    await new Promise<void>((resolve) => setImmediate(resolve));

    const done = step + 1;
    const interrupted = input.signal?.aborted === true;
    if (done < steps.length && (interrupted || done % checkpointEverySteps === 0)) {
      await saveCheckpoint(checkpoints.folder, { policy, optimiser, step: done, plan: checkpoints.plan });
    }
    if (interrupted && done < steps.length) {
      throw new InterruptedError(
        'INTERRUPTED',
        `Training was interrupted after step ${done} of ${steps.length}: the state is saved`,
      );
    }
  }
}

/** What a step cost. */
export function costMetrics({ tokens, seconds }: { tokens: number; seconds: number }): StepMetrics {
  const { peakTensorBytes, peakResidentBytes } = memoryStatistics();
  return {
    tokens,
    seconds,
    tokens_per_second: tokens / seconds,
    peak_tensor_bytes: peakTensorBytes,
    peak_resident_bytes: peakResidentBytes,
  };
}
