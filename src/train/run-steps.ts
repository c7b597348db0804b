/**
 * @file The only loop over training steps, with checkpoints at intervals and a stop that loses nothing. The caller says
 * what a step minimises: preferences, conversations, or a reward model's comparisons.
 */
import { InterruptedError } from '../errors.ts';
import type { Policy } from '../score/policy.ts';
import type { Activations } from '../score/stream.ts';
import type { Group } from '../torch/group.ts';
import { deviceMemory, memoryStatistics } from '../torch/memory.ts';
import { saveCheckpoint } from './checkpoint.ts';
import type { AdamWSettings, OptimiserState } from './optimiser.ts';
import { eventLoopTurn, type Pausing, untilStopped } from './pausing.ts';

/** Metrics of one step under TRL's names, with units in the names where TRL has none. */
export type StepMetrics = Record<string, number>;

export interface StepsInput<Item> {
  policy: Policy;
  optimiser: OptimiserState;
  /** What every step trains on. */
  steps: readonly (readonly Item[])[];
  /** Steps already done (a restored checkpoint). */
  firstStep: number;
  /** Folder of checkpoints, and what they belong to; null where another rank writes all of them. */
  checkpoints: { folder: string; plan: string } | null;
  /** The ranks that make each step together. @default this process alone */
  group?: Group;
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

/** A step whose update is made. */
export interface TakenStep {
  step: number;
  metrics: StepMetrics;
}

/**
 * Runs all steps that are left; gives out each one's metrics once its update is made, with its learning rate and its cost.
 * An aborted signal is heard after every step and between the micro-batches of one: InterruptedError, with the state of
 * the steps that are whole saved.
 */
export async function* runSteps<Item>(
  input: StepsInput<Item>,
  settings: Pick<Optimisation, 'checkpointEverySteps' | 'learningRateAt'>,
  takeStep: (
    items: readonly Item[],
    at: { step: number; learningRate: number },
  ) => Pausing<StepMetrics & { tokens: number }>,
): AsyncGenerator<TakenStep> {
  const { policy, optimiser, steps, checkpoints } = input;
  const { shards } = policy;
  // Ranks that share the policy stop together: after a step, where rank 0 says so, and never inside of one.
  const signal = shards === null ? input.signal : undefined;
  const isToStop = async (done: number): Promise<boolean> => {
    const isAsked = input.signal?.aborted === true;
    if (shards === null) return isAsked;
    const [answer] = await shards.group.share(`whether to stop after step ${done}`, Uint8Array.of(isAsked ? 1 : 0));
    return answer === 1;
  };
  let saved = input.firstStep;
  const save = async (done: number): Promise<void> => {
    if (done > saved && checkpoints !== null)
      await saveCheckpoint(checkpoints.folder, { policy, optimiser, step: done, plan: checkpoints.plan });
    saved = done;
  };
  for (let step = input.firstStep; step < steps.length; step++) {
    const startedMs = performance.now();
    const learningRate = settings.learningRateAt(step);
    const ending = await untilStopped(takeStep(steps[step] ?? [], { step, learningRate }), signal);
    if (ending.kind === 'stopped') {
      await save(step);
      throw stopped(step, { inside: true, of: steps.length });
    }
    const seconds = (performance.now() - startedMs) / 1000;
    yield { step, metrics: { ...ending.result, lr: learningRate, ...costOf(policy, ending.result.tokens, seconds) } };
    // Signals and readers of events have their turn here too, so that a wish to stop is heard before the next step.
    await eventLoopTurn();

    const done = step + 1;
    if (done === steps.length) {
      // No rank has the weights that came out: the model is put together from what all of them write.
      if (shards !== null) await save(done);
      break;
    }
    if (await isToStop(done)) {
      await save(done);
      throw stopped(done, { inside: false, of: steps.length });
    }
    if (done % settings.checkpointEverySteps === 0) await save(done);
  }
}

function stopped(done: number, { inside, of }: { inside: boolean; of: number }): InterruptedError {
  const where = inside ? `inside step ${done + 1} of ${of}, which will be made again` : `after step ${done} of ${of}`;
  return new InterruptedError('INTERRUPTED', `Training was interrupted ${where}: the state is saved`);
}

/** What a step cost; tensors are counted where it was computed. */
function costOf({ device }: Policy, tokens: number, seconds: number): StepMetrics {
  const { peakTensorBytes, peakResidentBytes } = memoryStatistics();
  return {
    tokens,
    seconds,
    tokens_per_second: tokens / seconds,
    peak_tensor_bytes: deviceMemory(device)?.peakBytes ?? peakTensorBytes,
    peak_resident_bytes: peakResidentBytes,
  };
}
