/** @file Which pairs are trained on in which step: a shuffle per epoch, cut into steps. A pure function of counts and a key. */
import { permutation, type RandomKey } from '../random.ts';

/** Optimiser steps an epoch; the last one may be smaller. */
export function stepsPerEpoch(pairs: number, batchSize: number): number {
  return Math.ceil(pairs / batchSize);
}

/** Indices of the pairs of every step, over all epochs; `keys` has one key an epoch. */
export function planSteps(pairs: number, batchSize: number, keys: readonly RandomKey[]): number[][] {
  return keys.flatMap((key) => {
    const order = Array.from(permutation(pairs, key));
    return Array.from({ length: stepsPerEpoch(pairs, batchSize) }, (_, step) =>
      order.slice(step * batchSize, (step + 1) * batchSize),
    );
  });
}
