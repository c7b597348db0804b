/**
 * @file Flats as tensors: the part that a rank holds, how a flat becomes whole for a while, and how the gradients of all ranks
 * become the gradient of its slice. Collectives go through the group alone, so that it may be Gloo's or another's.
 */
import { noGrad, requireGrad, setGradient } from '../torch/autograd.ts';
import type { Group } from '../torch/group.ts';
import { add__Tensor, copy_, expand, narrow, reshape, to_dtype, view, zero_, zeros } from '../torch/ops.ts';
import { disposeAll, outlive, scope, type Tensor } from '../torch/tensor.ts';
import { type FlatLayout, piecesOf, sliceLength } from './layout.ts';

type FloatDtype = 'float32' | 'bfloat16';

/** A flat as a rank holds it. */
export interface Flat {
  layout: FlatLayout;
  /** Type that products take it in. */
  dtype: FloatDtype;
  /** This rank's slice: of the type of the states where it is trained, else in `dtype`. */
  own: Tensor;
  /** fp32 gradient of the slice; null where it is not trained. */
  gradient: Tensor | null;
  /** The whole in `dtype` and its gradient, where every rank keeps them; the slices lie in them where types agree. */
  resident: Whole | null;
}

/** A flat that is whole: what products and the backward pass use, by the names of its weights. */
export interface Whole {
  whole: Tensor;
  gradient: Tensor | null;
  weights: ReadonlyMap<string, Tensor>;
  /** What the backward pass adds gradients to: the weights, or stand-ins of their shapes where those are bf16. */
  leaves: ReadonlyMap<string, Tensor>;
  /** fp32 gradients of the leaves. */
  gradients: ReadonlyMap<string, Tensor>;
}

export interface FlatOptions {
  group: Pick<Group, 'rank' | 'size'>;
  dtype: FloatDtype;
  /** Type of masters and moments. Gradients are fp32, since the ranks' sums are made in them. */
  states: FloatDtype;
  isTrained: boolean;
  /** Whether every rank keeps the whole. */
  isResident: boolean;
  device: string;
  /** A weight to copy from, in any type; called one weight after another. */
  read: (name: string) => Tensor;
}

/** A flat filled from weights. */
export function openFlat(layout: FlatLayout, options: FlatOptions): Flat {
  const { group, dtype, states, isTrained, isResident, device, read } = options;
  return noGrad(() => {
    if (!isResident) {
      const own = zerosOf(sliceLength(layout, group.size), { dtype: isTrained ? states : dtype, device });
      fillSlice(own, { layout, group, read });
      return { layout, dtype, own, gradient: isTrained ? zerosLike(own) : null, resident: null };
    }
    const resident = becomeWhole(layout, { dtype, isTrained, device });
    for (const { name } of layout.entries)
      scope(`copy ${name}`, () => void copy_(resident.weights.get(name) ?? missing(name), read(name)));
    const slice = sliceOf(layout, group, resident.whole);
    let own = slice;
    if (isTrained && dtype !== states) {
      own = zerosOf(sliceLength(layout, group.size), { dtype: states, device });
      fillSlice(own, { layout, group, read });
      slice.dispose();
    }
    const gradient = resident.gradient === null ? null : sliceOf(layout, group, resident.gradient);
    return { layout, dtype, own, gradient, resident };
  });
}

/** Copies the part of the weights that lies in a slice into it. */
export function fillSlice(
  own: Tensor,
  { layout, group, read }: Pick<FlatOptions, 'group' | 'read'> & { layout: FlatLayout },
): void {
  for (const { name, inWeight, inSlice, count } of piecesOf(layout, group)) {
    scope(`copy ${name}`, () => {
      const weight = reshape(read(name), [-1]);
      copy_(narrow(own, 0, inSlice, count), narrow(weight, 0, inWeight, count));
    });
  }
}

/** A rank's slice of a whole; shares its memory. */
export function sliceOf(layout: FlatLayout, { rank, size }: Pick<Group, 'rank' | 'size'>, whole: Tensor): Tensor {
  const length = sliceLength(layout, size);
  return outlive(scope('slice', () => noGrad(() => narrow(whole, 0, rank * length, length))));
}

/** An empty whole of a flat, with places for gradients where it is trained. */
export function becomeWhole(
  layout: FlatLayout,
  { dtype, isTrained, device }: Pick<FlatOptions, 'dtype' | 'isTrained' | 'device'>,
): Whole {
  return outlive(
    scope('a whole flat', () =>
      noGrad(() => {
        const whole = zeros([layout.length], { dtype, device });
        const weights = viewsOf(layout, whole);
        if (!isTrained) return { whole, gradient: null, weights, leaves: new Map(), gradients: new Map() };
        const gradient = zeros([layout.length], { dtype: 'float32', device });
        const gradients = viewsOf(layout, gradient);
        const leaves = dtype === 'float32' ? weights : standIns(layout, device);
        for (const [name, leaf] of leaves) setGradient(requireGrad(leaf), gradients.get(name) ?? null);
        return { whole, gradient, weights, leaves, gradients };
      }),
    ),
  );
}

function viewsOf(layout: FlatLayout, whole: Tensor): Map<string, Tensor> {
  return new Map(
    layout.entries.map(({ name, shape, begin, size }) => [name, view(narrow(whole, 0, begin, size), shape)]),
  );
}

/** Tensors of the weights' shapes that have no numbers of their own: gradients are added beside them. */
function standIns(layout: FlatLayout, device: string): Map<string, Tensor> {
  const one = zeros([1], { dtype: 'float32', device });
  return new Map(
    layout.entries.map(({ name, shape }) => [
      name,
      expand(
        view(
          one,
          shape.map(() => 1),
        ),
        shape,
      ),
    ]),
  );
}

/** Makes a flat whole from the slices of all ranks. */
export async function gatherWhole(
  group: Group,
  name: string,
  { layout, dtype, own }: Flat,
  whole: Tensor,
): Promise<void> {
  const sent = own.dtype === dtype ? own : outlive(scope('convert a slice', () => noGrad(() => to_dtype(own, dtype))));
  try {
    await group.gatherSlices(`${layout.name} for ${name}`, sent, whole);
  } finally {
    if (sent !== own) sent.dispose();
  }
}

/** Adds the sum over all ranks of what is this rank's of a gradient to the gradient of its slice. */
export async function addGradient(group: Group, name: string, flat: Flat, whole: Tensor): Promise<void> {
  const sum = zerosOf(sliceLength(flat.layout, group.size), { dtype: 'float32', device: whole.device });
  try {
    await group.reduceSlices(`gradient of ${flat.layout.name} in ${name}`, whole, sum);
    scope('add a gradient', () => noGrad(() => void add__Tensor(flat.gradient ?? missing(flat.layout.name), sum)));
  } finally {
    sum.dispose();
  }
}

/** Sets the gradient of a slice, and of the whole where that stays, to zero. */
export function clearFlat({ gradient, resident }: Flat): void {
  const cleared = resident?.gradient ?? gradient;
  if (cleared !== null) scope('clear a gradient', () => noGrad(() => void zero_(cleared)));
}

export function disposeFlat({ own, gradient, resident }: Flat): void {
  disposeAll([own, gradient, resident === null ? null : { ...resident }]);
}

function zerosOf(length: number, options: { dtype: FloatDtype; device: string }): Tensor {
  return outlive(scope('a slice', () => zeros([length], options)));
}

function zerosLike(tensor: Tensor): Tensor {
  return zerosOf(tensor.size, { dtype: 'float32', device: tensor.device });
}

function missing(name: string): never {
  throw new Error(`No weight ${name} in its flat`);
}
