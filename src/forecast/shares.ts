/**
 * @file What ranks cost in training: bytes that each holds and sends, by what they share of the policy. Sums of what
 * src/shard and src/train do, nothing fitted. Pure.
 */
import { targetShapes } from '../model/adapter/lora.ts';
import type { ModelConfig } from '../model/config.ts';
import { expectedWeights } from '../model/weights.ts';
import type { Recipe } from '../recipe/schema.ts';
import { layoutUnits } from '../shard/layout.ts';

/** A training as ranks share it. */
export interface SharedTraining {
  config: ModelConfig;
  training: Pick<Recipe['training'], 'dtype' | 'states' | 'adapter' | 'sharding'>;
  ranks: number;
}

/** Numbers of weights by what becomes of them. */
export interface Counts {
  /** All weights of the model, those of the largest block, and those of embedding, final norm and head. */
  all: number;
  block: number;
  ends: number;
  blocks: number;
  /** Those that training changes: all, or an adapter's. */
  trained: number;
}

const FLOAT32 = 4;

export function countsOf({
  config,
  training,
}: Pick<SharedTraining, 'config'> & { training: Pick<Recipe['training'], 'adapter'> }): Counts {
  const units = layoutUnits(expectedWeights(config), 1).map(({ unit, flats }) => ({
    unit,
    count: flats.flatMap(({ entries }) => entries).reduce((sum, { size }) => sum + size, 0),
  }));
  const blocks = units.filter(({ unit }) => unit !== 'ends').map(({ count }) => count);
  const all = units.reduce((sum, { count }) => sum + count, 0);
  const { adapter } = training;
  const factors =
    adapter.kind === 'none'
      ? 0
      : [...targetShapes(config, adapter.targets).values()].reduce(
          (sum, [rows, columns]) => sum + adapter.rank * (rows + columns),
          0,
        );
  const ends = all - blocks.reduce((sum, count) => sum + count, 0);
  const trained = adapter.kind === 'none' ? all : factors;
  return { all, block: Math.max(0, ...blocks), ends, blocks: blocks.length, trained };
}

/** Bytes of weights and of what training keeps beside them, on one rank, by what they are. */
export interface StateBytes {
  /** Weights that products are computed with; where types agree, those that are trained are the masters themselves. */
  weights: number;
  masters: number;
  gradients: number;
  moments: number;
  /** Blocks that are whole while they compute, with their gradients. */
  gathered: number;
}

/** What one rank holds of weights, gradients and moments. One process shares nothing, whatever is set. */
export function stateBytes(shared: SharedTraining): StateBytes {
  const { training } = shared;
  const { all, block, ends, trained } = countsOf(shared);
  const element = training.dtype === 'float32' ? FLOAT32 : 2;
  const sharding = shared.ranks === 1 ? 'none' : training.sharding;
  const isAdapter = training.adapter.kind !== 'none';
  const parts = sharding === 'none' ? 1 : shared.ranks;
  const state = training.states === 'float32' ? FLOAT32 : 2;
  const moments = (2 * state * trained) / parts;
  // Where products are computed in the type of the states, a weight that is whole is its own master.
  const ownMasters = element === state ? 0 : (state * trained) / parts;
  // Ranks add their gradients up in fp32.
  const gradients = (sharding === 'none' ? state : FLOAT32) * trained;
  if (sharding !== 'full') {
    const weights = element * all + (isAdapter ? element * trained : 0);
    return { weights, masters: ownMasters, gradients, moments, gathered: 0 };
  }
  if (isAdapter) {
    // Slices of the frozen weights, and factors that are whole.
    const weights = (element * all) / parts + element * trained;
    const gathered = element * (ends + 2 * block);
    return { weights, masters: ownMasters, gradients, moments, gathered };
  }
  // Embedding and head with their gradients; a block that computes and one that comes, and the sums of the one before.
  const gathered = (element + FLOAT32) * (ends + 2 * block) + FLOAT32 * block;
  return { weights: 0, masters: (state * trained) / parts, gradients: gradients / parts, moments, gathered };
}

/** Bytes that a rank sends in a step of so many passes, in the middle of the ring: what is trained, and what is gathered. */
export function sentBytes(shared: SharedTraining, passes: number): number {
  const { training, ranks } = shared;
  const { all, block, ends, trained } = countsOf(shared);
  const element = training.dtype === 'float32' ? FLOAT32 : 2;
  const share = (ranks - 1) / ranks;
  const isAdapter = training.adapter.kind !== 'none';
  switch (ranks === 1 ? 'none' : training.sharding) {
    case 'none':
      return 2 * share * FLOAT32 * trained;
    case 'optimiser':
      return share * (FLOAT32 + element) * trained;
    case 'full': {
      // Blocks are gathered forward and backward, the last one once; embedding, norm and head once.
      const gathered = element * (2 * (all - ends) - block + ends);
      return (
        share *
        (passes * (gathered + (isAdapter ? 0 : FLOAT32 * all)) + (isAdapter ? (FLOAT32 + element) * trained : 0))
      );
    }
  }
}
