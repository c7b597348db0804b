/**
 * @file How weights are cut over ranks. The weights of a block of the model lie end to end in two vectors, its flats: one of
 * its matrices and one of its norms and biases, with which a head of one score counts. Every rank has an equal slice of each flat. All of it follows from the
 * shapes and the number of ranks. Pure.
 */

/** A weight's place in a flat, in elements. */
export interface FlatEntry {
  name: string;
  shape: readonly number[];
  begin: number;
  size: number;
}

/** Weights that lie end to end. */
export interface FlatLayout {
  /** `block 3 matrices`. */
  name: string;
  kind: 'matrices' | 'vectors';
  entries: readonly FlatEntry[];
  /** Elements, those between and after the weights included: as many slices as there are ranks. */
  length: number;
}

/** Weights that are gathered together. */
export interface UnitLayout {
  /** A block of the model by its number; embedding, final norm and head; an adapter's factors; or what gives a single number. */
  unit: number | 'ends' | 'adapter' | 'score';
  flats: readonly FlatLayout[];
}

/** A part of a weight that lies in a slice, in elements. */
export interface Piece {
  name: string;
  /** Where it begins in the weight, and in the slice. */
  inWeight: number;
  inSlice: number;
  count: number;
}

/** Weights begin at multiples of 64 bytes of fp32, as in memory of their own: products then have the same bits. */
const ALIGNED = 16;

/** The units of weights of these shapes, in the order in which they come. */
export function layoutUnits(shapes: ReadonlyMap<string, readonly number[]>, ranks: number): UnitLayout[] {
  const units = new Map<UnitLayout['unit'], [string, readonly number[]][]>();
  for (const [name, shape] of shapes) {
    const unit = unitOf(name);
    units.set(unit, [...(units.get(unit) ?? []), [name, shape]]);
  }
  return [...units].map(([unit, weights]) => ({
    unit,
    flats: (['matrices', 'vectors'] as const).flatMap((kind) => {
      const own = weights.filter(
        ([, shape]) => (shape.length > 1 && unit !== 'score' ? 'matrices' : 'vectors') === kind,
      );
      const name = `${typeof unit === 'number' ? `block ${unit}` : unit} ${kind}`;
      return own.length === 0 ? [] : [layoutFlat(name, { kind, weights: own, ranks })];
    }),
  }));
}

function unitOf(name: string): UnitLayout['unit'] {
  if (name === 'score.weight') return 'score';
  if (/\.lora_[AB]\.weight$/.test(name)) return 'adapter';
  const layer = /^model\.layers\.(\d+)\./.exec(name)?.[1];
  return layer === undefined ? 'ends' : Number(layer);
}

function layoutFlat(
  name: string,
  { kind, weights, ranks }: { kind: FlatLayout['kind']; weights: [string, readonly number[]][]; ranks: number },
): FlatLayout {
  const entries: FlatEntry[] = [];
  let end = 0;
  for (const [weight, shape] of weights) {
    const size = shape.reduce((product, length) => product * length, 1);
    entries.push({ name: weight, shape, begin: end, size });
    end = roundUp(end + size, ALIGNED);
  }
  return { name, kind, entries, length: roundUp(end, ALIGNED * ranks) };
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

/** Elements of a rank's slice. */
export function sliceLength({ length }: FlatLayout, ranks: number): number {
  return length / ranks;
}

/** The parts of weights that lie in a rank's slice, in order. */
export function piecesOf(layout: FlatLayout, { rank, size }: { rank: number; size: number }): Piece[] {
  const slice = sliceLength(layout, size);
  const from = rank * slice;
  return layout.entries.flatMap(({ name, begin, size: elements }) => {
    const first = Math.max(from, begin);
    const end = Math.min(from + slice, begin + elements);
    return first >= end ? [] : [{ name, inWeight: first - begin, inSlice: first - from, count: end - first }];
  });
}
