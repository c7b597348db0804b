/** @file The win rates of AlpacaEval, with the leaderboard's names. Pure. */
import { sampleDeviation } from '../statistics.ts';
import type { Annotation } from './annotations.ts';

/** Percent where it is a rate. */
export interface AlpacaWinRate {
  win_rate: number;
  /** Of the win rate; NaN for one annotation. */
  standard_error: number;
  n_wins: number;
  n_wins_base: number;
  n_draws: number;
  n_total: number;
  /** Every verdict rounded to a win, a loss or a draw. */
  discrete_win_rate: number;
}

/** Win rates of a model over the baseline; NaN where there is no annotation. */
export function alpacaWinRate(annotations: readonly Pick<Annotation, 'preference'>[]): AlpacaWinRate {
  const values = annotations.map(({ preference }) => preference - 1);
  const total = values.length;
  const wins = values.filter((value) => value > 0.5).length;
  const losses = values.filter((value) => value < 0.5).length;
  const draws = total - wins - losses;
  return {
    win_rate: (100 * values.reduce((sum, value) => sum + value, 0)) / total,
    standard_error: (100 * sampleDeviation(values)) / Math.sqrt(total),
    n_wins: wins,
    n_wins_base: losses,
    n_draws: draws,
    n_total: total,
    discrete_win_rate: (100 * (wins + draws / 2)) / total,
  };
}

/** The leaderboard's average length: whole code points, rounded down; null of nothing. */
export function averageLength(lengths: readonly number[]): number | null {
  if (lengths.length === 0) return null;
  return Math.floor(lengths.reduce((sum, length) => sum + length, 0) / lengths.length);
}
