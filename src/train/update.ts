/**
 * @file One step of the optimiser, whatever it minimises: the gradient is accumulated, then checked, clipped and applied.
 */
import { TrainingError } from '../errors.ts';
import { type Policy, refreshCompute } from '../score/policy.ts';
import { refreshResident } from '../shard/shards.ts';
import { type AdamWSettings, clipGradients, gradientNorm, type OptimiserState, updateWeights } from './optimiser.ts';
import type { Pausing } from './pausing.ts';
import { sumNumbers } from './share.ts';

export interface UpdateSettings {
  adamW: AdamWSettings;
  learningRate: number;
  /** Longer gradients are scaled down to this norm; null leaves them. */
  maxGradientNorm: number | null;
}

/** What a step was made of, for its errors. */
export interface StepItems {
  what: 'pairs' | 'conversations' | 'responses' | 'prompts';
  ids: readonly string[];
}

/**
 * One step: `gradients` adds up the gradient of its loss, then the weights are updated. Returns what `gradients` found, and
 * the gradient's norm before clipping. A loss or gradient that is not finite stops it before the update: TrainingError
 * GRADIENT_NOT_FINITE names what the step was made of, and the weights are what they were.
 */
export function* optimiserStep<Found extends { loss: number }>(
  policy: Policy,
  optimiser: OptimiserState,
  step: { gradients: Pausing<Found>; items: StepItems; settings: UpdateSettings },
): Pausing<Found & { gradientNorm: number }> {
  const found = yield* step.gradients;
  const gradientNorm = yield* applyUpdate(policy, optimiser, { ...step, loss: found.loss });
  return { ...found, gradientNorm };
}

/** Norm of the whole gradient, whoever holds it. */
function* wholeNorm(policy: Policy, name: string): Pausing<number> {
  const own = gradientNorm(policy);
  if (policy.shards === null) return own;
  const [squares = Number.NaN] = yield* sumNumbers({ ...policy.shards, name }, 'gradient norms', [own * own]);
  return Math.sqrt(squares);
}

function* applyUpdate(
  policy: Policy,
  optimiser: OptimiserState,
  { loss, items, settings }: { loss: number; items: StepItems; settings: UpdateSettings },
): Pausing<number> {
  const name = `update ${optimiser.updates + 1}`;
  const norm = yield* wholeNorm(policy, name);
  if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
    throw new TrainingError(
      'GRADIENT_NOT_FINITE',
      `Cannot update the weights: the loss is ${loss} and the gradient norm ${norm} in a step of ${items.what} ${items.ids.join(', ')}: no weight was changed; lower the learning rate or drop these ${items.what}`,
      { details: { pairIds: [...items.ids], loss: String(loss), gradientNorm: String(norm) } },
    );
  }
  if (settings.maxGradientNorm !== null) clipGradients(policy, { norm, maxNorm: settings.maxGradientNorm });
  updateWeights(policy, optimiser, { ...settings.adamW, learningRate: settings.learningRate });
  refreshCompute(policy);
  if (policy.shards !== null) yield refreshResident(policy.shards, name);
  return norm;
}
