/**
 * @file Bradley-Terry: strengths of contenders from who was preferred to whom (Bradley and Terry 1952,
 * https://doi.org/10.2307/2334029), P(i over j) = sigma(theta_i - theta_j). A tie is half a win for each. Pure.
 */

/** One comparison: indices of two contenders, and the share of it that the first won: 1, 0, or 0.5 for a tie. */
export interface Match {
  first: number;
  second: number;
  won: number;
  /** How often it counts. @default 1 */
  weight?: number;
}

/** A strength with its 95 % interval, in nats of odds; the mean of all strengths is 0. */
export interface Strength {
  value: number;
  low: number;
  high: number;
}

/**
 * Precision of the normal prior about 0 on each strength. It keeps who never lost from being infinitely strong (a standard
 * deviation of 3.2 nats, 550 points of a rating), and moves what is known well by next to nothing.
 */
const PRIOR = 0.1;
/** Newton's method doubles the right digits each time; it is damped where a step would not go uphill. */
const MOST_STEPS = 100;
const STILL = 1e-10;
/** 97.5 % quantile of the normal distribution. */
const Z = 1.959963984540054;
const RATING_OF_A_NAT = 400 / Math.LN10;
const RATING_OF_THE_MEAN = 1000;

/**
 * The most likely strengths, with intervals from the curvature of the log-likelihood there (its Hessian): comparisons count as
 * independent.
 *
 * @param prior precision of the normal prior on each strength, above 0 unless everybody can be reached from everybody by wins
 */
export function bradleyTerry(
  contenders: number,
  matches: readonly Match[],
  { prior = PRIOR }: { prior?: number } = {},
): Strength[] {
  const wins = square(contenders);
  for (const { first, second, won, weight = 1 } of matches) {
    add(wins, first, second, weight * won);
    add(wins, second, first, weight * (1 - won));
  }
  let theta = Array<number>(contenders).fill(0);
  for (let step = 0; step < MOST_STEPS; step++) {
    const { gradient, hessian } = curvature(theta, wins, prior);
    const move = centred(solve(hessian, gradient));
    const value = logLikelihood(theta, wins, prior);
    let share = 1;
    let next = theta;
    do {
      next = theta.map((each, i) => each + share * (move[i] ?? 0));
      share /= 2;
    } while (logLikelihood(next, wins, prior) < value - 1e-12 && share > 1e-6);
    theta = next;
    if (Math.max(0, ...move.map(Math.abs)) < STILL) break;
  }
  const errors = standardErrors(curvature(theta, wins, prior).hessian);
  return theta.map((value, i) => ({ value, low: value - Z * (errors[i] ?? 0), high: value + Z * (errors[i] ?? 0) }));
}

/** Strengths as ratings on the scale of chess: 400 points are odds of ten to one, 1000 is the mean of all. */
export function ratingsOf(strengths: readonly Strength[]): Strength[] {
  const rating = (nats: number): number => RATING_OF_THE_MEAN + RATING_OF_A_NAT * nats;
  return strengths.map(({ value, low, high }) => ({ value: rating(value), low: rating(low), high: rating(high) }));
}

function logLikelihood(theta: readonly number[], wins: readonly number[][], prior: number): number {
  const of = (i: number): number => theta[i] ?? 0;
  const likely = wins.flatMap((row, i) => row.map((won, j) => -won * Math.log1p(Math.exp(of(j) - of(i)))));
  return sum(likely) - (prior / 2) * sum(theta.map((each) => each * each));
}

/** Gradient of the log-likelihood, and its Hessian with the sign turned. */
function curvature(
  theta: readonly number[],
  wins: readonly number[][],
  prior: number,
): { gradient: number[]; hessian: number[][] } {
  const hessian = square(theta.length);
  const gradient = theta.map((own, i) => {
    let slope = -prior * own;
    for (const [j, other] of theta.entries()) {
      const [won, lost] = [wins[i]?.[j] ?? 0, wins[j]?.[i] ?? 0];
      if (i === j || won + lost === 0) continue;
      const expected = 1 / (1 + Math.exp(other - own));
      slope += won - (won + lost) * expected;
      const weight = (won + lost) * expected * (1 - expected);
      add(hessian, i, i, weight);
      add(hessian, i, j, -weight);
    }
    return slope;
  });
  // What all strengths share is not told by any comparison: without a prior some number must hold it, and any does.
  for (const i of theta.keys())
    for (const j of theta.keys()) add(hessian, i, j, (i === j ? prior : 0) + (prior === 0 ? 1 / theta.length : 0));
  return { gradient, hessian };
}

/** Standard errors of strengths about their mean. */
function standardErrors(hessian: readonly number[][]): number[] {
  const count = hessian.length;
  return hessian.map((_, i) => {
    const contrast = Array.from({ length: count }, (__, j) => (i === j ? 1 : 0) - 1 / count);
    const solved = solve(hessian, contrast);
    return Math.sqrt(Math.max(0, sum(solved.map((each, j) => each * (contrast[j] ?? 0)))));
  });
}

/** Solves a positive definite system by elimination with pivots. */
function solve(matrix: readonly number[][], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i] ?? 0]);
  const at = (i: number, j: number): number => rows[i]?.[j] ?? 0;
  for (let column = 0; column < rows.length; column++) {
    const below = rows.map((_, i) => i).slice(column);
    const pivot = below.reduce((best, i) => (Math.abs(at(i, column)) > Math.abs(at(best, column)) ? i : best), column);
    [rows[column], rows[pivot]] = [rows[pivot] ?? [], rows[column] ?? []];
    for (const i of rows.keys()) {
      if (i === column) continue;
      const factor = at(i, column) / at(column, column);
      rows[i] = (rows[i] ?? []).map((value, j) => value - factor * at(column, j));
    }
  }
  return rows.map((row, i) => (row.at(-1) ?? 0) / at(i, i));
}

function centred(values: readonly number[]): number[] {
  const mean = sum(values) / values.length;
  return values.map((value) => value - mean);
}

function square(size: number): number[][] {
  return Array.from({ length: size }, () => Array<number>(size).fill(0));
}

function add(matrix: number[][], i: number, j: number, value: number): void {
  const row = matrix[i];
  if (row !== undefined) row[j] = (row[j] ?? 0) + value;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
