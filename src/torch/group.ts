/**
 * @file A group of ranks, processes that compute one thing together: what they can do with each other's tensors. One
 * process alone is a group too, whose collectives cost nothing. Each collective has a name, and all ranks of a group must
 * call the same ones in the same order.
 */
import { noGrad } from './autograd.ts';
import { copy_ } from './ops.ts';
import { scope, type Tensor } from './tensor.ts';

/** The ranks 0 to `size - 1`, as one of them sees them. */
export interface Group {
  readonly rank: number;
  readonly size: number;
  /** Every tensor becomes its sum over all ranks, in place: the same bits at each, in an order that `size` decides. */
  sum(name: string, tensors: readonly Tensor[]): Promise<void>;
  /**
   * A whole is `size` slices of one length, end to end, a slice a rank. `own` becomes the sum over all ranks, in their
   * order, of the slice with this rank's number; it may lie in the whole (reduce-scatter).
   */
  reduceSlices(name: string, whole: Tensor, own: Tensor): Promise<void>;
  /** The whole becomes the slices of all ranks in their order; `own` may lie in it (all-gather). */
  gatherSlices(name: string, own: Tensor, whole: Tensor): Promise<void>;
  /** Every tensor becomes what it is at rank `from`. */
  broadcast(name: string, tensors: readonly Tensor[], from?: number): Promise<void>;
  /** The bytes of all ranks in their order, at rank 0; nothing elsewhere. */
  gather(name: string, bytes: Uint8Array): Promise<Uint8Array[]>;
  /** The bytes of rank 0, at every rank; what the others give is not looked at. */
  share(name: string, bytes: Uint8Array): Promise<Uint8Array>;
  /** Returns when every rank is here. */
  barrier(name: string): Promise<void>;
}

/** The group of one process. */
export const ALONE: Group = {
  rank: 0,
  size: 1,
  sum: async () => {},
  reduceSlices: async (_, whole, own) => copyInto(own, whole),
  gatherSlices: async (_, own, whole) => copyInto(whole, own),
  broadcast: async () => {},
  gather: async (_, bytes) => [bytes],
  share: async (_, bytes) => bytes,
  barrier: async () => {},
};

/** The only slice is the whole. */
function copyInto(target: Tensor, source: Tensor): void {
  if (target !== source) scope('copy a slice', () => noGrad(() => void copy_(target, source)));
}
