/**
 * @file The length-controlled fit of a judged model. It gives the model's win rate at equal lengths over any other
 * model with the same judge and baseline: over the baseline, over the model of the iteration before, and in a matrix of
 * many (Figure 2 of the paper). Pure. Intervals come from a bootstrap over instructions that repeats every fit under
 * the chosen penalty. A draw gives an instruction the same weight in every model (a Poisson number, Hanley and
 * MacGibbon 2006), so two models are compared as pairs, even where the judge gave one of them no verdict.
 */
import { randomKey, uniformAt } from '../../random.ts';
import { type Interval, mean, quantile } from '../statistics.ts';
import type { Annotation } from './annotations.ts';
import { sigmoid } from './l1-logistic.ts';
import {
  chooseInverseStrength,
  designOf,
  fitLengthModel,
  type LengthModel,
  type SharedFacts,
} from './length-controlled.ts';

/** What a rate at equal lengths needs of a model: how it does with an instruction's difficulty, and at all. */
export type Ability = Pick<LengthModel, 'difficulty' | 'bias'>;

/** A fit, and the same fit on resampled instructions. */
export interface FittedModel {
  /** Inverse strength of the penalty, chosen by cross-validation. */
  c: number;
  weights: LengthModel;
  /** One entry a draw. */
  draws: Ability[];
  /** Instructions behind it by their places, and the difficulty of each. */
  places: number[];
  difficulties: number[];
}

const DRAWS = 200;
const BASELINE: Ability = { difficulty: 0, bias: 0 };

/**
 * Fits a model's verdicts with lengths.
 *
 * @throws DataError EVALUATION_EMPTY, ALPACA_NO_LENGTHS, ALPACA_NO_DIFFICULTY, FIT_DIVERGED
 */
export function fitModel(annotations: readonly Annotation[], shared: SharedFacts): FittedModel {
  const design = designOf(annotations, shared);
  const places = annotations.map(({ index }) => index);
  const c = chooseInverseStrength(design);
  const made = design.weights_N.length - places.length;
  const all = 1 + Math.max(...places);
  const counts = resamplingCounts(all);
  const draws = Array.from({ length: DRAWS }, (_, draw) => {
    const weights_N = Float64Array.from(design.weights_N);
    places.forEach((place, row) => {
      weights_N[made + row] = counts[draw * all + place] ?? 0;
    });
    const { difficulty, bias } = fitLengthModel({ ...design, weights_N }, c);
    return { difficulty, bias };
  });
  const difficulties = places.map((place) => shared.difficulty[place] ?? Number.NaN);
  return { c, weights: fitLengthModel(design, c), draws, places, difficulties };
}

/** A model and its opponent; null is the baseline. */
export interface Contest {
  model: FittedModel;
  against: FittedModel | null;
}

/**
 * Win rate at equal lengths in [0, 1] with its 95 % interval, over the instructions that both sides were judged on: the mean over contests, which
 * are those of several seeds. Null where there is none, or one has no instruction; `count` is the number of instructions of the smallest.
 */
export function rateOver(contests: readonly Contest[]): Interval | null {
  const rates = contests.map(ratesOf);
  const counts = rates.map(({ count }) => count);
  if (contests.length === 0 || counts.includes(0)) return null;
  const draws = Array.from({ length: DRAWS }, (_, draw) => mean(rates.map((each) => each.draws[draw] ?? Number.NaN)));
  const drawn = draws.filter((rate) => !Number.isNaN(rate));
  return {
    value: mean(rates.map(({ value }) => value)),
    low: quantile(drawn, 0.025),
    high: quantile(drawn, 0.975),
    count: Math.min(...counts),
  };
}

/** The rate of one contest, and in each draw. */
function ratesOf({ model, against }: Contest): { value: number; draws: number[]; count: number } {
  const known = against === null ? null : new Set(against.places);
  const common = model.places.flatMap((place, row) =>
    known === null || known.has(place) ? [{ place, difficulty: model.difficulties[row] ?? Number.NaN }] : [],
  );
  if (common.length === 0) return { value: Number.NaN, draws: [], count: 0 };
  const all = 1 + Math.max(...common.map(({ place }) => place));
  const counts = resamplingCounts(all);
  const rateOf = (own: Ability, other: Ability, weight: (place: number) => number): number => {
    let [sum, total] = [0, 0];
    for (const { place, difficulty } of common) {
      const share = weight(place);
      total += share;
      sum += share * sigmoid((own.difficulty - other.difficulty) * difficulty + own.bias - other.bias);
    }
    return sum / total;
  };
  const draws = model.draws.map((own, draw) =>
    rateOf(own, against?.draws[draw] ?? BASELINE, (place) => counts[draw * all + place] ?? 0),
  );
  return { value: rateOf(model.weights, against?.weights ?? BASELINE, () => 1), draws, count: common.length };
}

/**
 * Rates of each model (row) over each other (column), from those above the diagonal. What is beyond one half changes its sign with the
 * sides, exactly. Null on the diagonal, and where there is no rate.
 */
export function rateMatrix(
  models: number,
  rate: (row: number, column: number) => Interval | null,
): (Interval | null)[][] {
  const places = Array.from({ length: models }, (_, place) => place);
  const upper = places.map((row) => places.map((column) => (row < column ? rate(row, column) : null)));
  return places.map((row) =>
    places.map((column) => {
      const found = (row < column ? upper[row]?.[column] : upper[column]?.[row]) ?? null;
      if (found === null || row < column) return found;
      return { value: 1 - found.value, low: 1 - found.high, high: 1 - found.low, count: found.count };
    }),
  );
}

/** The last table made: a comparison asks for rates of many pairs over the same instructions. */
let lastTable: { places: number; counts: Uint8Array } = { places: 0, counts: new Uint8Array(0) };

/** How often each draw takes each instruction, by its place: of Poisson's distribution with mean 1. `counts[draw * places + place]`. */
function resamplingCounts(places: number): Uint8Array {
  if (lastTable.places !== places) {
    const counts = new Uint8Array(DRAWS * places);
    for (let draw = 0; draw < DRAWS; draw++) {
      const key = randomKey(0, 'length-control', draw);
      for (let place = 0; place < places; place++) counts[draw * places + place] = poissonAt(uniformAt(key, place));
    }
    lastTable = { places, counts };
  }
  return lastTable.counts;
}

/** The number of Poisson's distribution with mean 1 at a probability in [0, 1). */
function poissonAt(probability: number): number {
  let [count, share] = [0, Math.exp(-1)];
  for (let below = share; below <= probability && count < 20; below += share) {
    count += 1;
    share /= count;
  }
  return count;
}
