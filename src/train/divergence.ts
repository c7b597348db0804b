/**
 * @file Training that failed because of its learning rate: numbers that are no longer finite, in a step or after the last
 * one, and a loss that ends far above where it began. The error names the learning rate, before anything is saved.
 */
import { TrainingError } from '../errors.ts';
import { gatheredHidden } from '../score/gathered.ts';
import type { PackedTrees } from '../score/packing.ts';
import type { Policy } from '../score/policy.ts';
import { scoredRows } from '../score/stream.ts';
import type { TokenTree } from '../score/trees.ts';
import { noGrad } from '../torch/autograd.ts';
import { to_dtype } from '../torch/ops.ts';
import { scope, type Tensor, toFloat32Array } from '../torch/tensor.ts';
import { normOf } from './optimiser.ts';
import { passesOf } from './passes.ts';
import type { Pausing } from './pausing.ts';
import { type SharedStep, sumNumbers } from './share.ts';

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
 * of its last step. Where ranks share the policy, all of them call this, each with its batches, and find the same.
 *
 * @throws TrainingError TRAINING_DIVERGED
 */
export function* checkTrained(
  policy: Policy,
  passes: { batches: readonly PackedTrees<TokenTree>[]; shared?: SharedStep | undefined },
  progress: Progress,
): Pausing<void> {
  const everywhere = function* (what: string, isFine: boolean): Pausing<boolean> {
    if (policy.shards === null) return isFine;
    const [faults] = yield* sumNumbers({ ...policy.shards, name: 'the trained policy' }, what, [isFine ? 0 : 1]);
    return faults === 0;
  };
  const weightsAreFine = Number.isFinite(normOf([...policy.masters.values()]));
  if (!(yield* everywhere('weights', weightsAreFine)))
    throw diverged('its weights are no longer finite numbers', progress);
  const areNumbers = ({ hidden_SD }: { hidden_SD: Tensor }): boolean =>
    toFloat32Array(to_dtype(hidden_SD, 'float32')).every(Number.isFinite);
  const isGathered = policy.shards?.gathered != null;
  let computes = true;
  for (const [batch, name] of passesOf(isGathered ? passes : { batches: passes.batches })) {
    const found =
      isGathered || batch === null
        ? yield* gatheredHidden(policy, batch, { name, use: areNumbers })
        : scope('check the policy', () => noGrad(() => areNumbers(scoredRows(policy, batch))));
    computes &&= found ?? true;
  }
  if (!(yield* everywhere('hidden states', computes)))
    throw diverged('the model that came out computes no finite numbers', progress);
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
