/** @file The update that ends every training step: checked, clipped, applied. What the gradient is of does not matter here. */
import { TrainingError } from '../errors.ts';
import { type Policy, refreshCompute } from '../score/policy.ts';
import { type AdamWSettings, clipGradients, gradientNorm, type OptimiserState, updateWeights } from './optimiser.ts';

export interface UpdateSettings {
  adamW: AdamWSettings;
  learningRate: number;
  /** Longer gradients are scaled down to this norm; null leaves them. */
  maxGradientNorm: number | null;
}

/**
 * Updates the weights by the policy's gradients and returns their norm before clipping. A loss or gradient that is not
 * finite stops it before the update: TrainingError names what the step was made of, and the weights are what they were.
 */
export function applyUpdate(
  policy: Policy,
  optimiser: OptimiserState,
  step: { loss: number; of: { what: 'pairs' | 'conversations'; ids: readonly string[] }; settings: UpdateSettings },
): number {
  const { loss, of, settings } = step;
  const norm = gradientNorm(policy);
  if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
    throw new TrainingError(
      'GRADIENT_NOT_FINITE',
      `Cannot update the weights: the loss is ${loss} and the gradient norm ${norm} in a step of ${of.what} ${of.ids.join(', ')}: no weight was changed; lower the learning rate or drop these ${of.what}`,
      { details: { pairIds: [...of.ids], loss: String(loss), gradientNorm: String(norm) } },
    );
  }
  if (settings.maxGradientNorm !== null) clipGradients(policy, { norm, maxNorm: settings.maxGradientNorm });
  updateWeights(policy, optimiser, { ...settings.adamW, learningRate: settings.learningRate });
  refreshCompute(policy);
  return norm;
}
