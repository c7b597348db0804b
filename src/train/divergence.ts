/**
 * @file A training that went wrong by its learning rate: numbers that are no longer finite, in a step or after the last
 * one, and a loss that ends far above where it began. It is said with the learning rate, before anything is saved.
 */
import { TrainingError } from '../errors.ts';
import type { PackedTrees } from '../score/packing.ts';
import type { Policy } from '../score/policy.ts';
import { scoredHidden } from '../score/stream.ts';
import type { TokenTree } from '../score/trees.ts';
import { noGrad } from '../torch/autograd.ts';
import { to_dtype } from '../torch/ops.ts';
import { scope, toFloat32Array } from '../torch/tensor.ts';
import { normOf } from './optimiser.ts';

/** Codes of errors that a step throws at numbers that are not finite. */
const NOT_FINITE: ReadonlySet<string> = new Set([
  'GRADIENT_NOT_FINITE',
  'OBJECTIVE_INPUT_NOT_FINITE',
  'OBJECTIVE_NOT_FINITE',
]);

/** A loss that ends above this many times the first one has not been minimised. */
const RISEN = 5;

/** How a training stood when it went wrong. */
export interface Progress {
  /** Steps made, in all attempts. */
  made: number;
  of: number;
  /** Of the last step made. */
  loss: number;
  learningRate: number;
  /** Setting of the recipe that a person should lower. */
  setting: string;
}

/** The error of a step as TRAINING_DIVERGED where updates have been made and a number is not finite; else as it is. */
export function explainDivergence(error: unknown, progress: Progress): unknown {
  if (!(error instanceof TrainingError) || !NOT_FINITE.has(error.code) || progress.made === 0) return error;
  return diverged(`step ${progress.made + 1} failed: ${error.message}`, progress, error);
}

/**
 * Checks that a policy that was trained still computes: its weights are finite, and so are the hidden states of the trees
 * of its last step.
 *
 * @throws TrainingError TRAINING_DIVERGED
 */
export function checkTrained(policy: Policy, batches: readonly PackedTrees<TokenTree>[], progress: Progress): void {
  if (!Number.isFinite(normOf([...policy.masters.values()])))
    throw diverged('its weights are no longer finite numbers', progress);
  for (const batch of batches) {
    const hidden = scope('check the policy', () =>
      noGrad(() => toFloat32Array(to_dtype(scoredHidden(policy, batch), 'float32'))),
    );
    if (!hidden.every(Number.isFinite)) throw diverged('the model that came out computes no finite numbers', progress);
  }
}

/** What a person should know of a loss that ended far above its first; null where it did not. */
export function lossWarning(first: number, progress: Progress): string | null {
  if (!(progress.loss > RISEN * Math.abs(first))) return null;
  return `The loss ended at ${progress.loss.toPrecision(4)}, far above the ${first.toPrecision(4)} where it began: ${progress.setting} (${progress.learningRate} in the last step) is probably too high`;
}

function diverged(what: string, { made, of, loss, learningRate, setting }: Progress, cause?: Error): TrainingError {
  return new TrainingError(
    'TRAINING_DIVERGED',
    `Training diverged: ${what}, after ${made} of ${of} steps, the last with a loss of ${loss} and a learning rate of ${learningRate}; nothing was saved as finished: lower ${setting}`,
    { ...(cause === undefined ? {} : { cause }), details: { made, of, loss: String(loss), learningRate, setting } },
  );
}
