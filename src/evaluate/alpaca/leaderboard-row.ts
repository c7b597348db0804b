/** @file A model's row of AlpacaEval's leaderboard from its annotations, with everything that makes it doubtful. Pure. */
import { DataError, SelmError } from '../../errors.ts';
import type { Annotations } from './annotations.ts';
import { isExtremeChange, type LengthModel, lengthControlledWinRate, type SharedFacts } from './length-controlled.ts';
import { type AlpacaWinRate, alpacaWinRate, averageLength } from './win-rate.ts';

/** A row under the leaderboard's names (percent where it is a rate), and what stands behind it. */
export interface LeaderboardRow extends AlpacaWinRate {
  /** Null where it cannot be computed: `warnings` says why. */
  length_controlled_winrate: number | null;
  lc_standard_error: number | null;
  /** Null where no lengths are given. */
  avg_length: number | null;
  /** Inverse strength of the penalty, and the coefficients; null without a fit. */
  c: number | null;
  weights: LengthModel | null;
  /** Instructions of the benchmark without a row. */
  n_missing: number;
  /** Rows without a usable verdict. */
  n_unusable: number;
  unusable: Annotations['unusable'];
  warnings: string[];
}

export interface LeaderboardOptions {
  /** Why there are no shared facts, where there are none. */
  shared: SharedFacts | { problem: string };
  /** As given; null chooses it by cross-validation. */
  c: number | null;
  /** How many there are in all. @default AlpacaEval's */
  instructions?: number;
  /** Code points of all the model's outputs; null takes those of the annotated ones. */
  outputLengths: readonly number[] | null;
}

/** Instructions of AlpacaEval. */
export const INSTRUCTIONS = 805;

/** The row of one model. DataError EVALUATION_EMPTY where nothing can be used. */
export function leaderboardRow(
  annotations: Annotations,
  { shared, c, outputLengths, instructions = INSTRUCTIONS }: LeaderboardOptions,
): LeaderboardRow {
  const { usable, unusable, displaced, isBaseline } = annotations;
  if (usable.length === 0) {
    const [first] = unusable;
    const why = first === undefined ? '' : ` (line ${first.line}: ${first.problem})`;
    throw new DataError(
      'EVALUATION_EMPTY',
      `Cannot compute a win rate: none of ${unusable.length} annotations has a preference${why}: judge the outputs first`,
    );
  }
  const warnings: string[] = [];
  const rates = alpacaWinRate(usable);
  const missing = Math.max(0, instructions - usable.length - unusable.length);
  if (missing > 0)
    warnings.push(`${missing} of ${instructions} instructions have no annotation; rates are over the others`);
  if (unusable.length > 0) warnings.push(`${unusable.length} annotations have no usable preference and are left out`);
  if (displaced > 0) {
    warnings.push(
      `${displaced} annotations lie behind a missing one: their difficulty is looked up by place, as the leaderboard does, and is another instruction's`,
    );
  }
  const lengths = usable.flatMap((each) => (each.lengths === null ? [] : [each.lengths.model]));
  const fit = controlled();
  if (fit !== null && isExtremeChange(rates.win_rate, fit.length_controlled_winrate)) {
    warnings.push('the length-controlled win rate is far from the raw one: the fit may have failed');
  }
  return {
    ...rates,
    length_controlled_winrate: null,
    lc_standard_error: null,
    avg_length: averageLength(outputLengths ?? lengths),
    c: null,
    weights: null,
    ...fit,
    n_missing: missing,
    n_unusable: unusable.length,
    unusable,
    warnings,
  };

  function controlled() {
    if (isBaseline) return { length_controlled_winrate: 50, lc_standard_error: 0 };
    try {
      if ('problem' in shared) throw new DataError('ALPACA_SHARED', shared.problem);
      const { rate, standardError, weights, c: chosen } = lengthControlledWinRate(usable, shared, c);
      return { length_controlled_winrate: rate, lc_standard_error: standardError, weights, c: chosen };
    } catch (error) {
      // The other numbers stand without it.
      if (!(error instanceof SelmError)) throw error;
      warnings.push(`no length-controlled win rate: ${error.message}`);
      return null;
    }
  }
}
