/**
 * @file Logistic regression with an L1 penalty and soft, weighted labels, to convergence: proximal Newton steps whose
 * quadratic model is solved by coordinate descent (Friedman, Hastie and Tibshirani 2010, section 3), with a line search. Made
 * for a handful of features. Pure.
 */
import { DataError } from '../../errors.ts';

/** N rows of F features. */
export interface SoftLabels {
  /** Row after row: `features_NF[row * featureCount + feature]`. */
  features_NF: Float64Array;
  featureCount: number;
  /** Probability of the label 1, in [0, 1]. */
  labels_N: Float64Array;
  /** Weight of each row's loss. */
  weights_N: Float64Array;
}

/** Steps after which a fit is given up; sound data need about ten. */
const MOST_STEPS = 200;
/** Largest change of a coefficient, in a step, that counts as none. */
const TOLERANCE = 1e-11;
/** Relative rounding error of the objective, a sum over thousands of rows. */
const ROUNDING = 1e-13;
const SHORTEST_STEP = 1e-9;

/**
 * Coefficients w that minimise |w|_1 + C sum_i weight_i (log(1 + exp(w·x_i)) - label_i w·x_i), without intercept.
 *
 * @throws DataError FIT_DIVERGED where no minimum is found (features that are not finite)
 */
export function fitLogistic(data: SoftLabels, inverseStrength: number): number[] {
  const { featureCount: F } = data;
  let w: number[] = new Array<number>(F).fill(0);
  let objective = objectiveAt(data, w, inverseStrength);
  for (let step = 0; step < MOST_STEPS; step++) {
    const { gradient_F, hessian_FF } = derivatives(data, w, inverseStrength);
    const target = solveQuadratic(gradient_F, hessian_FF, w);
    const direction = target.map((value, f) => value - (w[f] ?? 0));
    if (Math.max(...direction.map(Math.abs)) < TOLERANCE) return target;
    // A full Newton step nearly always; shorter where the quadratic model promised too much. Near the minimum the objective
    // no longer tells steps apart, and the full step is the better one.
    const allowed = objective + ROUNDING * Math.abs(objective);
    let scale = 1;
    let next = target;
    let value = objectiveAt(data, next, inverseStrength);
    while (!(value <= allowed) && scale > SHORTEST_STEP) {
      scale /= 2;
      next = w.map((old, f) => old + scale * (direction[f] ?? 0));
      value = objectiveAt(data, next, inverseStrength);
    }
    if (!(value <= allowed)) break;
    w = next;
    objective = value;
  }
  if (w.every(Number.isFinite) && Number.isFinite(objective)) return w; // the last bits of a flat minimum
  throw new DataError(
    'FIT_DIVERGED',
    'Cannot fit the logistic regression: its features or labels are not all finite numbers: look at the lengths and preferences of the annotations',
  );
}

/** w·x_i. */
export function scoreOf({ features_NF, featureCount }: SoftLabels, row: number, w: readonly number[]): number {
  let score = 0;
  for (let f = 0; f < featureCount; f++) score += (w[f] ?? 0) * (features_NF[row * featureCount + f] ?? 0);
  return score;
}

/** 1 / (1 + exp(-x)), without overflow. */
export function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const e = Math.exp(x);
  return e / (1 + e);
}

function objectiveAt(data: SoftLabels, w: readonly number[], C: number): number {
  const { labels_N, weights_N } = data;
  let loss = 0;
  for (let row = 0; row < labels_N.length; row++) {
    const score = scoreOf(data, row, w);
    const softplus = Math.max(score, 0) + Math.log1p(Math.exp(-Math.abs(score)));
    loss += (weights_N[row] ?? 0) * (softplus - (labels_N[row] ?? 0) * score);
  }
  return w.reduce((sum, value) => sum + Math.abs(value), 0) + C * loss;
}

/** Of the smooth part. */
function derivatives(
  data: SoftLabels,
  w: readonly number[],
  C: number,
): { gradient_F: number[]; hessian_FF: number[][] } {
  const { features_NF, featureCount: F, labels_N, weights_N } = data;
  const gradient_F = new Array<number>(F).fill(0);
  const hessian_FF = gradient_F.map(() => new Array<number>(F).fill(0));
  for (let row = 0; row < labels_N.length; row++) {
    const weight = C * (weights_N[row] ?? 0);
    const p = sigmoid(scoreOf(data, row, w));
    const slope = weight * (p - (labels_N[row] ?? 0));
    const curvature = weight * p * (1 - p);
    for (let f = 0; f < F; f++) {
      const x = features_NF[row * F + f] ?? 0;
      gradient_F[f] = (gradient_F[f] ?? 0) + slope * x;
      const line = hessian_FF[f] ?? [];
      for (let g = 0; g < F; g++) line[g] = (line[g] ?? 0) + curvature * x * (features_NF[row * F + g] ?? 0);
    }
  }
  return { gradient_F, hessian_FF };
}

/** The v that minimises gradient·(v - w) + (v - w)ᵀ hessian (v - w) / 2 + |v|_1, coordinate by coordinate. */
function solveQuadratic(gradient_F: number[], hessian_FF: number[][], w: readonly number[]): number[] {
  const v = [...w];
  for (let sweep = 0; sweep < 10_000; sweep++) {
    let largest = 0;
    for (let f = 0; f < v.length; f++) {
      const curvature = hessian_FF[f]?.[f] ?? 0;
      // A feature that is zero everywhere has no say.
      if (!(curvature > 0)) continue;
      const old = v[f] ?? 0;
      const pull = v.reduce(
        (sum, value, g) => sum + (hessian_FF[f]?.[g] ?? 0) * (value - (w[g] ?? 0)),
        gradient_F[f] ?? 0,
      );
      const free = old * curvature - pull;
      const next = (Math.sign(free) * Math.max(0, Math.abs(free) - 1)) / curvature;
      v[f] = next;
      largest = Math.max(largest, Math.abs(next - old));
    }
    if (!(largest > TOLERANCE / 100)) break;
  }
  return v;
}
