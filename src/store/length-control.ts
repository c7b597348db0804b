/**
 * @file What a run keeps of AlpacaEval: each model's scores, and its length-controlled fit with what that rests on, so that models are
 * compared at equal lengths within the run and across runs.
 */
import { z } from 'zod';
import { type FittedModel, rateOver } from '../evaluate/alpaca/fitted-model.ts';
import type { Interval } from '../evaluate/statistics.ts';
import { benchmarksSchema } from './benchmark-scores.ts';

const ability = z.object({ difficulty: z.number(), bias: z.number() });
const fitSchema = z.object({
  /** Hash of judge, baseline and difficulties: only models with the same one can be compared. */
  basis: z.string(),
  c: z.number(),
  weights: ability.extend({ length: z.number() }),
  draws: z.array(ability),
  places: z.array(z.number()),
  difficulties: z.array(z.number()),
});

/** Parser of what is kept; where there is no fit it says why, and it is null in runs from before there were fits. */
export const alpacaSchema = benchmarksSchema.extend({
  lengthControl: z
    .union([fitSchema, z.object({ problem: z.string() })])
    .nullable()
    .default(null),
});

/** A model's fit, and what it rests on. */
export interface JudgedFit extends FittedModel {
  basis: string;
}

/** Win rates at equal lengths, in [0, 1]; null where the other was not judged on the same basis. */
export interface LengthControlledRates {
  /** Over the baseline of AlpacaEval. */
  baseline: Interval | null;
  /** Over the model that the run started from, and over that of the iteration before; null for the base itself. */
  base: Interval | null;
  previous: Interval | null;
}

/** A model's rates, or why there are none. */
export interface LengthControlOfModel {
  iteration: number;
  rates: LengthControlledRates | { problem: string };
}

/** The rates of an iteration's model; null where it has no fit. */
export function lengthControlledRates(
  fits: ReadonlyMap<number, JudgedFit>,
  iteration: number,
): LengthControlledRates | null {
  const own = fits.get(iteration);
  if (own === undefined) return null;
  const over = (other: number): Interval | null => {
    const against = fits.get(other);
    return against === undefined || other >= iteration || against.basis !== own.basis
      ? null
      : rateOver([{ model: own, against }]);
  };
  return { baseline: rateOver([{ model: own, against: null }]), base: over(0), previous: over(iteration - 1) };
}
