/** @file The logistic function and its logarithm, exact to rounding for every finite number. */

/** log sigma(x) = -log(1 + e^-x), exact to rounding for every finite x: the exponent is never positive. */
export function logSigmoid(x: number): number {
  return Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));
}

/** sigma(x) = 1 / (1 + e^-x), exact to rounding for every finite x; 0 rather than NaN far below zero. */
export function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const exponential = Math.exp(x);
  return exponential / (1 + exponential);
}
