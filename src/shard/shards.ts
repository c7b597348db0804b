/** @file What ranks share of a policy: who they are, their flats, and which weights are whole at the moment. */
import type { Group } from '../torch/group.ts';
import { disposeAll, type Tensor } from '../torch/tensor.ts';
import { addGradient, becomeWhole, clearFlat, disposeFlat, type Flat, gatherWhole, type Whole } from './flats.ts';

/** Whether ranks share what the optimiser holds (ZeRO-1), or weights and gradients too, block by block (ZeRO-3). */
export type SharingKind = 'optimiser' | 'full';

/** How a policy's ranks share it. */
export interface Sharing {
  kind: SharingKind;
  group: Group;
}

/** Weights that are whole at the moment, by name: products read them, and the backward pass adds to their gradients. */
export interface PresentWeights {
  compute: Map<string, Tensor>;
  vectors: Map<string, Tensor>;
  leaves: Map<string, Tensor>;
  gradients: Map<string, Tensor>;
}

export interface Shards {
  group: Group;
  /** All flats of which this rank has a slice. */
  flats: readonly Flat[];
  /** Those that are made whole for each pass, by unit; null where all weights are whole always. */
  gathered: { ends: readonly Flat[]; blocks: readonly (readonly Flat[])[] } | null;
  present: PresentWeights;
}

export function disposeShards({ flats }: Shards): void {
  for (const flat of flats) disposeFlat(flat);
}

/** Sets all gradients to zero. */
export function clearShards({ flats }: Shards): void {
  for (const flat of flats) clearFlat(flat);
}

/** Sums the gradients of the weights that are whole always: each rank has the sum of its slice. */
export async function reduceResident({ flats, group }: Shards, name: string): Promise<void> {
  await Promise.all(
    flats.map(async ({ layout, resident, gradient }) => {
      if (resident?.gradient == null || gradient === null) return;
      await group.reduceSlices(`gradient of ${layout.name} in ${name}`, resident.gradient, gradient);
    }),
  );
}

/** Brings the weights that are whole always up to date with every rank's slice. */
export async function refreshResident({ flats, group }: Shards, name: string): Promise<void> {
  await Promise.all(
    flats.map(async (flat) => {
      if (flat.resident !== null && flat.gradient !== null) await gatherWhole(group, name, flat, flat.resident.whole);
    }),
  );
}

/** Makes the weights of a whole flat present. */
export function bring(present: PresentWeights, { layout }: Flat, { weights, leaves, gradients }: Whole): void {
  for (const [name, weight] of weights)
    (layout.kind === 'matrices' ? present.compute : present.vectors).set(name, weight);
  if (layout.kind === 'matrices') for (const [name, leaf] of leaves) present.leaves.set(name, leaf);
  for (const [name, gradient] of gradients) present.gradients.set(name, gradient);
}

/** A unit on its way to being whole, and what it is then. */
export interface GatheredUnit {
  /** When it is whole, its weights are present. */
  arrive(): Promise<void>;
  /** Frees the weights. */
  leave(): void;
  /** Adds the ranks' gradients to those of their slices, and frees them. */
  reduce(name: string): Promise<void>;
  /** Frees all, whatever was done. */
  free(): void;
}

/** Begins to gather a unit; `name` says in which pass, for errors. */
export function gatherUnit(
  { group, present }: Shards,
  flats: readonly Flat[],
  { name, withGradients, device }: { name: string; withGradients: boolean; device: string },
): GatheredUnit {
  const wholes = flats.map((flat) => {
    const isTrained = withGradients && flat.gradient !== null;
    return { flat, whole: becomeWhole(flat.layout, { dtype: flat.dtype, isTrained, device }) };
  });
  const gathering = Promise.all(wholes.map(({ flat, whole }) => gatherWhole(group, name, flat, whole.whole)));
  gathering.catch(() => {}); // heard where the unit is awaited
  const leave = (): void => {
    for (const { whole } of wholes) {
      for (const name of whole.weights.keys())
        for (const table of [present.compute, present.vectors, present.leaves, present.gradients]) table.delete(name);
      disposeAll([whole.whole, whole.weights, whole.leaves]);
    }
  };
  return {
    async arrive() {
      await gathering;
      for (const { flat, whole } of wholes) bring(present, flat, whole);
    },
    leave,
    free() {
      leave();
      for (const { whole } of wholes) disposeAll([whole.gradient, whole.gradients]);
    },
    async reduce(reason) {
      try {
        // All are called now: one that was called when another is done would come before or after the next block's gather, as it happens.
        const sums = wholes.map(async ({ flat, whole }) => {
          if (whole.gradient !== null) await addGradient(group, reason, flat, whole.gradient);
        });
        for (const sum of await Promise.allSettled(sums)) if (sum.status === 'rejected') throw sum.reason;
      } finally {
        for (const { whole } of wholes) disposeAll([whole.gradient, whole.gradients]);
      }
    },
  };
}
