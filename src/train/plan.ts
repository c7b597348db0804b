/** @file Which pairs are trained on in which step: a shuffle per epoch, cut into steps. A pure function of counts and a key. */
import { permutation, type RandomKey } from '../random.ts';

/**
 * Optimiser steps an epoch. The last one may be smaller, or is left out with `dropLastStep` (at least one step is made):
 * Hugging Face's trainer leaves it out when it accumulates gradients, so the authors' 15,283 pairs are 59 steps of 256.
 */
export function stepsPerEpoch(
  pairs: number,
  { batchSize, dropLastStep }: { batchSize: number; dropLastStep: boolean },
): number {
  return dropLastStep ? Math.max(1, Math.floor(pairs / batchSize)) : Math.ceil(pairs / batchSize);
}

/** Indices of the pairs of every step, over all epochs; `keys` has one key an epoch. */
export function planSteps(
  pairs: number,
  { keys, ...options }: { batchSize: number; dropLastStep: boolean; keys: readonly RandomKey[] },
): number[][] {
  return keys.flatMap((key) => {
    const order = Array.from(permutation(pairs, key));
    return Array.from({ length: stepsPerEpoch(pairs, options) }, (_, step) =>
      order.slice(step * options.batchSize, (step + 1) * options.batchSize),
    );
  });
}
